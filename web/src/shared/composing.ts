/** Whether a key is the input method's: Safari tells of the key that ends a composition by its code alone. */
export const composing = (e: KeyboardEvent): boolean => e.isComposing || e.keyCode === 229;
