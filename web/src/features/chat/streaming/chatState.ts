import { createEntityAdapter } from '@reduxjs/toolkit';
import type { Message } from '../../../shared/protocol';
import type { HeldMessage } from './parts';
import { loadPending, type Pending } from './pendingQuestion';

const CHOICES_KEY = 'omnichat-branches';
export const messages = createEntityAdapter<HeldMessage>();

/** What the page knows of the sessions that were opened. */
export interface ChatState {
  messages: ReturnType<typeof messages.getInitialState>;
  /** The version of each loaded session. */
  versions: Record<string, number>;
  /** Messages that were deleted. A late event or answer must not bring them back. */
  deleted: Record<string, boolean>;
  /** Sessions that are not there, or not any more. */
  missing: Record<string, boolean>;
  /** Streams that this tab reads itself, as the answer to its own question. The socket's events of them are ignored. */
  own: Record<string, boolean>;
  /** How many connections follow each session. */
  viewers: Record<string, number>;
  /** For each parent of several messages: the one that is shown. */
  choices: Record<string, string>;
  /** The questions of this tab that the server does not have yet. */
  pending: Pending[];
  /** The session that a question opened, until the page has gone there and left it again. */
  opened: string | null;
  /** Whether the WebSocket is connected. */
  online: boolean;
}

function loadChoices(): ChatState['choices'] {
  try {
    return JSON.parse(localStorage.getItem(CHOICES_KEY) ?? '{}');
  } catch {
    return {};
  }
}

export const initialState = (): ChatState => ({
  messages: messages.getInitialState(),
  versions: {},
  deleted: {},
  missing: {},
  own: {},
  viewers: {},
  choices: loadChoices(),
  pending: loadPending(),
  opened: null,
  online: true,
});

export const blankMessage = (fields: Partial<Message> & Pick<Message, 'id' | 'session_id' | 'role'>): Message => ({
  parent_id: null,
  content: '',
  reasoning: '',
  status: 'complete',
  model: '',
  usage: null,
  error: null,
  seq: -1,
  attachments: [],
  version: 0,
  created_at: new Date().toISOString(),
  finished_at: null,
  ...fields,
});

/** Makes a message the one of its siblings that is shown. */
export function chooseVersion(state: ChatState, m: Pick<HeldMessage, 'id' | 'session_id' | 'parent_id'>): void {
  state.choices[m.parent_id ?? m.session_id] = m.id;
}

const CHOICES_MOST = 2000;

/** Keeps the choices that changed, beside those of other tabs; the oldest go first. */
export function keepChoices(choices: ChatState['choices'], before: ChatState['choices']): void {
  const kept = Object.entries(loadChoices());
  const changed = Object.entries(choices).filter(([parent, id]) => before[parent] !== id);
  const all = [...new Map([...kept, ...changed])].slice(-CHOICES_MOST);
  try {
    localStorage.setItem(CHOICES_KEY, JSON.stringify(Object.fromEntries(all)));
  } catch {
    // Full: they last as long as the page.
  }
}

/** Drops what is known of a session. It is read again when it is opened. */
export function forgetSession(state: ChatState, session: string): void {
  const ids = state.messages.ids.filter((id) => state.messages.entities[id].session_id === session);
  messages.removeMany(state.messages, ids);
  for (const part of [state.versions, state.viewers]) delete part[session];
}

/** Takes a message away for good. */
export function removeMessage(state: ChatState, id: string): void {
  state.deleted[id] = true;
  messages.removeOne(state.messages, id);
}

/** A session is not there, or not any more. */
export function loseSession(state: ChatState, session: string): void {
  state.missing[session] = true;
  forgetSession(state, session);
}
