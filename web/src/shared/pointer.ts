/** With a finger for a pointer, a focused input brings up the keyboard. */
export const hasFinePointer = (): boolean => matchMedia('(pointer: fine)').matches;

/** A keyboard on the screen has no Shift and Enter: there, Enter makes a new line. */
export const hasCoarsePointer = (): boolean => matchMedia('(pointer: coarse)').matches;
