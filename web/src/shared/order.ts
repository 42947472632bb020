/**
 * In which order something was asked for, and which answer counts: one that was asked for before another that has come
 * is late, and tells of an older state.
 */
export interface Order {
  asked: number;
  /** When each request that is under way was asked. */
  waiting: Record<string, number>;
  /** What was asked before this is late. */
  answered: number;
  /** When the change was asked for that was answered last. */
  changed: number;
}

export const newOrder = (): Order => ({ asked: 0, waiting: {}, answered: 0, changed: 0 });

export function askedFor(order: Order, request: string): void {
  order.asked++;
  order.waiting[request] = order.asked;
}

/**
 * Takes note of an answer, and says whether it counts. After that of a change nothing counts that was asked before it
 * came; the change itself is newer than any reading beside it.
 */
export function answerCounts(order: Order, request: string, changes = false): boolean {
  const at = order.waiting[request] ?? order.asked + 1; // what nobody asked for counts
  delete order.waiting[request];
  if (at < (changes ? order.changed : order.answered)) return false;
  order.answered = changes ? Math.max(order.asked, at) : at;
  if (changes) order.changed = at;
  return true;
}

export function askingFailed(order: Order, request: string): void {
  delete order.waiting[request];
}
