import { draftOf } from './files/filesSlice';

const PREFIX = 'omnichat-draft-';
const keyOf = (session: string | null) => PREFIX + draftOf(session);

/** The half-typed question of a session, kept for a reload. */
export const draftText = (session: string | null): string => sessionStorage.getItem(keyOf(session)) ?? '';

export function keepDraft(session: string | null, text: string): void {
  if (text) sessionStorage.setItem(keyOf(session), text);
  else sessionStorage.removeItem(keyOf(session));
}

/** What is written in a new chat goes along into its session. */
export function moveDraft(session: string): void {
  keepDraft(session, draftText(null));
  keepDraft(null, '');
}

/** Forgets all of them: somebody else may log in. */
export function forgetDrafts(): void {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith(PREFIX)) sessionStorage.removeItem(key);
}
