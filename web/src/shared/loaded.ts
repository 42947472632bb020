import type { Changes } from './protocol';

/** What was read of a list, and the version from which it was asked; undefined: all of it. */
export type Loaded<T> = Changes<T> & { after?: number };

/**
 * Whether an answer continues what the page has by now, in this version. An older one would bring back what was deleted
 * since, one from a later version would leave a hole, and all of it does not say what is no more.
 */
export function continues(has: number | undefined, { after, version }: Loaded<unknown>): boolean {
  if (has === undefined) return after === undefined;
  return after !== undefined && after <= has && version >= has;
}
