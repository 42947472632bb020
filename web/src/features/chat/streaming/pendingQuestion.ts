import type { Attachment, Failure, SessionSettings } from '../../../shared/protocol';

const KEY = 'omnichat-pending';

/** What is asked. */
export interface Question {
  session: string | null;
  /** null: the parent is answered again or continued. */
  content: string | null;
  /** undefined: the newest message, which the page does not know yet. */
  parent_id: string | null | undefined;
  model: string;
  attachments?: Attachment[];
  /** Of the session that the question opens. */
  settings?: Partial<SessionSettings>;
}

/** A question that this tab asks, until the server has it. Its ids make it safe to ask again. */
export interface Pending extends Question {
  message_id: string;
  answer_id: string;
  failure: Failure | null;
  /** The session that was made for it, if one was. */
  made?: string;
}

/** What was not sent when the page was left: it is kept until the person retries or drops it. */
export function loadPending(): Pending[] {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? '[]') as Pending[];
    const failure = { code: 'unsent', detail: 'The page was left before the server had it.' };
    return kept.map((p) => ({ ...p, failure: p.failure ?? failure }));
  } catch {
    return [];
  }
}

export function keepPending(pending: Pending[]): void {
  if (pending.length === 0) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, JSON.stringify(pending));
}
