import { createEntityAdapter } from '@reduxjs/toolkit';
import type { Message } from '../../shared/protocol';
import { loadPending, type Pending } from './pending';

const CHOICES_KEY = 'omnichat-branches';
export const messages = createEntityAdapter<Message>();

export interface ChatState {
  messages: ReturnType<typeof messages.getInitialState>;
  /** The version of each loaded session. */
  versions: Record<string, number>;
  /** Sessions of which something was missed. */
  stale: Record<string, boolean>;
  /** Sessions with a stream of which something was missed. */
  behind: Record<string, boolean>;
  missing: Record<string, boolean>;
  /** Streams that this tab reads as the answer to its own question: the socket's events of them are left aside. */
  own: Record<string, boolean>;
  viewers: Record<string, number>;
  /** Which of several siblings is shown, by their parent. */
  choices: Record<string, string>;
  /** What this tab asks, until the server has it. */
  pending: Pending[];
  /** The session that a question opened, until the page has gone there. */
  opened: string | null;
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
  stale: {},
  behind: {},
  missing: {},
  own: {},
  viewers: {},
  choices: loadChoices(),
  pending: loadPending(),
  opened: null,
  online: true,
});

export const blank = (fields: Partial<Message> & Pick<Message, 'id' | 'session_id' | 'role'>): Message => ({
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

/** Shows a message among its siblings. */
export function choose(state: ChatState, m: Pick<Message, 'id' | 'session_id' | 'parent_id'>): void {
  state.choices[m.parent_id ?? m.session_id] = m.id;
}

export function keepChoices(state: ChatState): void {
  localStorage.setItem(CHOICES_KEY, JSON.stringify(state.choices));
}
