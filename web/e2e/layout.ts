import type { Page } from '@playwright/test';

/**
 * Says what is wrong with the layout of the page as it stands: something outside of the window, text that is cut off
 * without an ellipsis, a control that cannot be scrolled to, is covered, or is too small for a finger. If a dialog or a
 * menu is open, its controls alone count. It runs in the page.
 */
async function lookAround(): Promise<string[]> {
  const faults = new Set<string>();
  const root = document.scrollingElement ?? document.documentElement;
  const finger = matchMedia('(pointer: coarse)').matches;
  const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const styleOf = (e: Element) => getComputedStyle(e);
  const nameOf = (e: Element) => {
    const text = e.getAttribute('aria-label') ?? e.textContent ?? '';
    return `<${e.tagName.toLowerCase()}> “${text.trim().replace(/\s+/g, ' ').slice(0, 40)}”`;
  };
  const at = (r: DOMRect) => `at ${[r.left, r.top, r.right, r.bottom].map(Math.round)}`;
  const ancestors = (e: Element) => {
    const all: Element[] = [];
    for (let a = e.parentElement; a && a !== document.body; a = a.parentElement) all.push(a);
    return all;
  };
  const scrolls = (e: Element, axis: 'X' | 'Y') => /auto|scroll/.test(styleOf(e)[`overflow${axis}`]);
  const cuts = (e: Element) => styleOf(e).overflowX !== 'visible' || styleOf(e).contentVisibility === 'auto';
  const shown = (e: Element) => e.checkVisibility({ visibilityProperty: true }) && !e.closest('[inert]');
  /** For screen readers alone, or not until the pointer comes. */
  const unseen = (e: Element) =>
    [e, ...ancestors(e)].some((a) => styleOf(a).clip !== 'auto' || styleOf(a).clipPath !== 'none');

  const over = [
    ...document.querySelectorAll(
      '[role="dialog"], [role="menu"], .mantine-Affix-root, .mantine-Combobox-dropdown, .mantine-Select-dropdown',
    ),
  ];
  const top = over.filter(shown).at(-1);
  const all = [...document.querySelectorAll('body *')];
  const before = all.filter((e) => e.scrollTop || e.scrollLeft).map((e) => [e, e.scrollTop, e.scrollLeft] as const);

  // The document is the window, and does not scroll.
  for (const [what, size, room] of [
    ['higher', root.scrollHeight, innerHeight],
    ['wider', root.scrollWidth, innerWidth],
  ] as const)
    if (size > room) faults.add(`the document is ${what} than the window: ${size} > ${room}`);
  root.scrollTo(1000, 1000);
  if (root.scrollTop || root.scrollLeft) faults.add('the document scrolls');
  root.scrollTo(0, 0);

  // Text is inside of the window, or of something that scrolls sideways; a whole page does not.
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const own = node.parentElement;
    if (!own || !node.textContent?.trim() || !shown(own) || unseen(own) || own.closest('script')) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const r = range.getBoundingClientRect();
    if (!r.width || !r.height) continue;
    const box = [own, ...ancestors(own)].find((a) => {
      const b = a.getBoundingClientRect();
      return cuts(a) && (r.left < b.left - 1 || r.right > b.right + 1);
    });
    if (!box && r.left >= -1 && r.right <= innerWidth + 1) continue;
    if (box && styleOf(box).textOverflow === 'ellipsis') continue;
    if (box && scrolls(box, 'X') && box.scrollWidth > box.clientWidth && !box.matches('[role="log"], main, nav'))
      continue;
    faults.add(`text is cut off: ${nameOf(own)} ${at(r)} by ${box ? nameOf(box) : 'the window'}`);
  }

  // Controls are reached with what a person can scroll, and are hit where they stand.
  const reach = (e: Element) => {
    for (const a of ancestors(e)) {
      const [r, b] = [e.getBoundingClientRect(), a.getBoundingClientRect()];
      const aside = r.height > b.height ? 2 : (b.height - r.height) / 2; // in the middle nothing floats over it
      if (scrolls(a, 'Y')) a.scrollTop += r.top - b.top - aside;
      if (scrolls(a, 'X')) {
        if (r.left < b.left || r.width > b.width) a.scrollLeft += r.left - b.left - 2;
        else if (r.right > b.right) a.scrollLeft += r.right - b.right + 2;
      }
    }
  };
  const problemOf = (control: Element, e: Element): string | undefined => {
    reach(e);
    const r = e.matches('a') ? (e.getClientRects()[0] ?? e.getBoundingClientRect()) : e.getBoundingClientRect();
    const room = { left: 0, top: 0, right: innerWidth, bottom: innerHeight };
    for (const a of ancestors(e).filter(cuts)) {
      const b = a.getBoundingClientRect();
      room.left = Math.max(room.left, b.left);
      room.right = Math.min(room.right, b.right);
      if (styleOf(a).overflowY === 'visible') continue;
      room.top = Math.max(room.top, b.top);
      room.bottom = Math.min(room.bottom, b.bottom);
    }
    const high = r.height > room.bottom - room.top - 8; // what scrolls itself, or a code block
    if (r.left < room.left - 1 || r.right > room.right + 1) return `is cut off ${at(r)}`;
    if (!high && (r.top < room.top - 1 || r.bottom > room.bottom + 1)) return `is out of reach ${at(r)}`;
    const y = (Math.max(r.top, room.top) + Math.min(r.bottom, room.bottom)) / 2;
    const typed = e.matches('input, textarea') ? (e.closest('.mantine-Input-wrapper') ?? e.parentElement) : null; // an icon may lie over its end
    for (const x of [(r.left + r.right) / 2, r.left + 3, r.right - 3]) {
      const hit = document.elementFromPoint(x, y);
      if (hit && (e.contains(hit) || typed?.contains(hit) || hit.closest('label')?.control === control)) continue;
      return `is covered ${at(r)}, at ${Math.round(x)},${Math.round(y)} by ${hit ? nameOf(hit) : 'nothing'}`;
    }
    const small = Math.min(r.width, r.height) < 43.5;
    const aimed = e.matches('button, input, textarea, summary, label, [role]:not([role="group"], [role="log"])');
    if (finger && small && aimed) return `is too small for a finger: ${Math.round(r.width)}x${Math.round(r.height)}`;
  };
  const controls =
    'a[href], button, input, textarea, select, summary, [tabindex]:not([tabindex="-1"]), ' +
    '[role="option"], [role="menuitem"], [role="tab"]';
  for (const control of (top ?? document.body).querySelectorAll(controls)) {
    if (!shown(control) || control.matches(':disabled, .recharts-surface')) continue;
    const box = control instanceof HTMLInputElement && /radio|checkbox/.test(control.type);
    const e = (box && control.labels?.[0]) || control;
    if (!shown(e) || unseen(e)) continue;
    let problem = problemOf(control, e);
    for (let tries = 0; problem && tries < 4; tries++) {
      await frame(); // what was far away is drawn only now
      problem = problemOf(control, e);
    }
    if (problem) faults.add(`a control ${problem}: ${nameOf(e)}`);
  }
  for (const e of all) if (e.scrollTop || e.scrollLeft) e.scrollTo(0, 0);
  for (const [e, y, x] of before) e.scrollTo(x, y);
  await frame();
  if (root.scrollTop || root.scrollLeft) faults.add('the document was scrolled');
  return [...faults];
}

export const layoutFaults = (page: Page): Promise<string[]> => page.evaluate(lookAround);
