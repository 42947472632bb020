import { useEffect, useRef } from 'react';
import { composing } from '../../../shared/composing';

/** What lies over the page has Esc to itself, also before the focus is in it and while it fades. */
const OVER = '[role="dialog"], [role="menu"], .mantine-Combobox-dropdown';
const covered = () => [...document.querySelectorAll(OVER)].some((e) => e.getClientRects().length > 0);

/** Acts on an Esc that nothing else is there for. */
export function useEscape(act: () => void) {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    let over = false;
    const first = (e: KeyboardEvent) => {
      if (e.key === 'Escape') over = covered(); // the same key may close it before the others hear of it
    };
    const onKey = (e: KeyboardEvent) => {
      if (e.key === 'Escape' && !composing(e) && !over) latest.current();
    };
    window.addEventListener('keydown', first, true);
    document.addEventListener('keydown', onKey);
    return () => {
      window.removeEventListener('keydown', first, true);
      document.removeEventListener('keydown', onKey);
    };
  }, []);
}
