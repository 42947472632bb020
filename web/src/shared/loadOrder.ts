/**
 * In which order something was asked for, and which answer counts: one that was asked for before another that has come
 * is late, and tells of an older state.
 */
export interface Order {
  asked: number;
  /** What was asked before this is late. */
  answered: number;
  /** When the change was asked for that was answered last. */
  changed: number;
}

export const newOrder = (): Order => ({ asked: 0, answered: 0, changed: 0 });

/**
 * Takes note of an answer to what was asked as the at-th, and says whether it counts. After the answer to a change
 * nothing counts that was asked before that answer came; the change itself is newer than any reading beside it.
 */
export function answerCounts(order: Order, at: number, changes = false): boolean {
  if (at < (changes ? order.changed : order.answered)) return false;
  order.answered = changes ? Math.max(order.asked, at) : at;
  if (changes) order.changed = at;
  return true;
}
