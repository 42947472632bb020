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

/** A question of this tab that the server does not have yet. Its ids make it safe to send it again. */
export interface Pending extends Question {
  message_id: string;
  answer_id: string;
  failure: Failure | null;
  /** The session that was made for it, if one was. */
  made?: string;
}

/** The questions that were not sent when the page was left. They are kept until the person retries or discards them. */
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
