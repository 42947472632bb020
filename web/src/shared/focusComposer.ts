/** Gives the focus to where a question is written. Not where fingers point: there a keyboard would rise with it. */
export function focusComposer(): void {
  if (!matchMedia('(pointer: fine)').matches) return;
  document.querySelector<HTMLElement>('textarea[aria-label="Message"]')?.focus({ preventScroll: true });
}
