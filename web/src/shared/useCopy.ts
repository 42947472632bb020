import { useCallback, useEffect, useState } from 'react';

/** The way of old, for pages without a clipboard: those that came over plain HTTP, as on a home network. */
function copySelected(text: string): boolean {
  const focused = document.activeElement;
  const area = document.createElement('textarea');
  area.value = text;
  area.style.cssText = 'position: fixed; top: 0; opacity: 0; font-size: 16px'; // nothing scrolls or zooms to it
  document.body.append(area);
  area.focus({ preventScroll: true });
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  return copied;
}

/** Copies a text, and for a moment says whether that worked. */
export function useCopy() {
  const [said, setSaid] = useState<'' | 'Copied' | 'Not copied'>('');
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => setSaid(''), 1500);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = useCallback(async (text: string) => {
    let copied = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copied = copySelected(text);
    }
    setSaid(copied ? 'Copied' : 'Not copied');
  }, []);
  return { said, copy };
}
