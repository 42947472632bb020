import { createAsyncThunk, createEntityAdapter, createSlice, type PayloadAction } from '@reduxjs/toolkit';
import { ApiError } from '../../shared/api';
import { Batcher } from '../../shared/batch';
import { eventsReceived, forgotten } from '../../shared/events';
import {
  type Changes,
  isStreamEvent,
  type Message,
  newId,
  type ServerEvent,
  type StreamEvent,
  statusOf,
} from '../../shared/protocol';
import type { Extra } from '../../shared/thunk';

const CHOICES_KEY = 'omnichat-branches';
const messages = createEntityAdapter<Message>();

/** A question that this tab asks, until the server has it. */
export interface Pending {
  session: string | null;
  message_id: string;
  answer_id: string;
  /** null: the parent is answered again or continued. */
  content: string | null;
  parent_id: string | null;
  model: string;
  error: string;
}

interface ChatState {
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
  pending: Pending | null;
  /** The session that a question opened, until the page has gone there. */
  opened: string | null;
  online: boolean;
}

const initialState = (): ChatState => ({
  messages: messages.getInitialState(),
  versions: {},
  stale: {},
  behind: {},
  missing: {},
  own: {},
  viewers: {},
  choices: JSON.parse(localStorage.getItem(CHOICES_KEY) ?? '{}'),
  pending: null,
  opened: null,
  online: true,
});

type Config = Extra & { state: { chat: ChatState } };

/** Reads a session's messages, or what changed since the version that the page has. */
export const loadMessages = createAsyncThunk<Changes<Message>, string, Config>(
  'chat/load',
  async (session, { extra, getState, rejectWithValue }) => {
    const after = getState().chat.versions[session];
    try {
      return await extra.api.json(
        'GET',
        `/sessions/${session}/messages${after === undefined ? '' : `?after_version=${after}`}`,
      );
    } catch (e) {
      return rejectWithValue(e instanceof ApiError ? e.status : 0) as never;
    }
  },
);

export interface Draft {
  session: string | null;
  content: string | null;
  parent_id: string | null;
  model: string;
}

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

/**
 * Asks, and reads the answer to its end. What the answer says arrives as events. A stream that breaks is taken up where
 * it broke; the ids make asking again safe.
 */
export const ask = createAsyncThunk<void, Draft, Config>('chat/ask', async (draft, { extra, dispatch }) => {
  const pending: Pending = { ...draft, message_id: newId(), answer_id: newId(), error: '' };
  dispatch(asking(pending));
  await readAnswer(pending, extra.api, dispatch);
});

/** Asks once more what could not be sent. */
export const retryPending = createAsyncThunk<void, void, Config>(
  'chat/retry',
  async (_, { extra, dispatch, getState }) => {
    const failed = getState().chat.pending;
    if (!failed) return;
    const pending = { ...failed, error: '' };
    dispatch(asking(pending));
    await readAnswer(pending, extra.api, dispatch);
  },
);

async function readAnswer(
  pending: Pending,
  api: Extra['extra']['api'],
  dispatch: (a: ReturnType<typeof eventsReceived> | ReturnType<typeof ownEnded> | ReturnType<typeof askFailed>) => void,
): Promise<void> {
  const id = pending.answer_id;
  const batcher = new Batcher((events) => dispatch(eventsReceived({ events, via: 'sse' })));
  const body: Record<string, unknown> = { answer_id: id, model: pending.model, parent_id: pending.parent_id };
  if (pending.session) body.session_id = pending.session;
  else delete body.parent_id;
  if (pending.content !== null) {
    body.content = pending.content;
    body.message_id = pending.message_id;
  }
  let seq = -1;
  try {
    for (let broken = 0; broken < 8; broken++) {
      try {
        const events =
          seq < 0
            ? api.events('/chat/stream', { method: 'POST', body: JSON.stringify(body) })
            : api.events(`/chat/stream/${id}`, { headers: { 'Last-Event-ID': String(seq) } });
        for await (const event of events) {
          broken = 0;
          batcher.push(event);
          if (isStreamEvent(event)) seq = event.seq;
          if (event.type === 'finish') return;
        }
        if (seq >= 0) continue; // ended without a finish: take it up again
      } catch (e) {
        if (e instanceof ApiError && e.status < 500 && e.status !== 429) throw e;
        // A replica that goes away says 503, the proxy before one that is gone 502: another may answer.
        const elsewhere = !(e instanceof ApiError) || e.status >= 502;
        if (seq < 0 && (!elsewhere || broken >= 3)) throw e;
      }
      await sleep(Math.min(4000, 300 * 2 ** broken));
    }
  } catch (e) {
    if (seq < 0) {
      const why = e instanceof ApiError ? e.message : 'The server cannot be reached.';
      dispatch(askFailed({ answer_id: id, error: why }));
    }
  } finally {
    batcher.flush();
    dispatch(ownEnded(id)); // the socket follows it from here, if it goes on
  }
}

export const stopAnswer = createAsyncThunk<void, string, Extra>('chat/stop', (id, { extra }) =>
  extra.api.json('DELETE', `/chat/stream/${id}`),
);

export const deleteMessage = createAsyncThunk<void, Message, Extra>('chat/delete', (m, { extra }) =>
  extra.api.json('DELETE', `/sessions/${m.session_id}/messages/${m.id}`),
);

const blank = (fields: Partial<Message> & Pick<Message, 'id' | 'session_id' | 'role'>): Message => ({
  parent_id: null,
  content: '',
  reasoning: '',
  status: 'complete',
  model: '',
  error: null,
  seq: -1,
  version: 0,
  created_at: new Date().toISOString(),
  ...fields,
});

function choose(state: ChatState, m: Pick<Message, 'id' | 'session_id' | 'parent_id'>): void {
  state.choices[m.parent_id ?? m.session_id] = m.id;
}

/** A question of this tab has become a stream. */
function accept(state: ChatState, e: { message_id: string; session_id: string; parent_id: string | null }): void {
  const p = state.pending;
  if (p?.answer_id !== e.message_id) return;
  if (p.content !== null && e.parent_id && !state.messages.entities[e.parent_id]) {
    const parent = p.session ? p.parent_id : null;
    const question = blank({
      id: e.parent_id,
      session_id: e.session_id,
      role: 'user',
      content: p.content,
      parent_id: parent,
    });
    messages.addOne(state.messages, question);
    choose(state, question);
  }
  choose(state, { id: e.message_id, session_id: e.session_id, parent_id: e.parent_id });
  if (!p.session) state.opened = e.session_id;
  state.pending = null;
}

function applyStream(state: ChatState, e: StreamEvent): void {
  if (e.type === 'start' || e.type === 'snapshot') {
    accept(state, e);
    const old = state.messages.entities[e.message_id];
    if (e.type === 'start' && old && old.seq >= 0) return;
    messages.upsertOne(state.messages, {
      ...(old ?? blank({ id: e.message_id, session_id: e.session_id, role: 'assistant' })),
      parent_id: e.parent_id,
      model: e.model,
      status: 'streaming',
      seq: e.seq,
      ...(e.type === 'snapshot' ? { content: e.text, reasoning: e.reasoning } : {}),
    });
    if (e.type === 'start') choose(state, { id: e.message_id, session_id: e.session_id, parent_id: e.parent_id });
    return;
  }
  const m = state.messages.entities[e.message_id];
  if (m?.status !== 'streaming' || e.seq <= m.seq) return; // a reconnect replays: once is enough
  const from = e.type === 'delta' ? (e.from ?? e.seq - 1) : e.seq - 1;
  if (from !== m.seq) {
    state.behind[m.session_id] = true;
    return;
  }
  m.seq = e.seq;
  if (e.type === 'delta') {
    if (e.text) m.content += e.text;
    if (e.reasoning) m.reasoning += e.reasoning;
    return;
  }
  m.status = statusOf(e.reason);
  m.error = e.error;
}

/** Takes note of a change's version: a hole means that something was missed. */
function note(state: ChatState, session: string, version: number): boolean {
  const known = state.versions[session];
  if (known === undefined || version <= known) return false;
  if (version === known + 1) state.versions[session] = version;
  else state.stale[session] = true;
  return true;
}

function apply(state: ChatState, e: ServerEvent, via: 'socket' | 'sse'): void {
  if (isStreamEvent(e)) {
    if (via === 'socket' && (e.type === 'start' || e.type === 'finish') && e.version) {
      const session = e.type === 'start' ? e.session_id : state.messages.entities[e.message_id]?.session_id;
      if (session) note(state, session, e.version);
    }
    if (via === 'sse' || !state.own[e.message_id]) applyStream(state, e);
    return;
  }
  switch (e.type) {
    case 'message':
      if (note(state, e.message.session_id, e.version) || !state.messages.entities[e.message.id]) {
        messages.upsertOne(state.messages, e.message);
        choose(state, e.message);
      }
      break;
    case 'message_deleted':
      note(state, e.session_id, e.version);
      messages.removeOne(state.messages, e.message_id);
      break;
    case 'session':
      if (e.session.version === (state.versions[e.session.id] ?? -1) + 1) note(state, e.session.id, e.session.version);
      break;
    case 'session_deleted':
      state.missing[e.session_id] = true;
      break;
    case 'presence':
      state.viewers[e.session_id] = e.viewers;
      break;
    case 'version':
      if (e.session_id && e.version > (state.versions[e.session_id] ?? e.version)) state.stale[e.session_id] = true;
      break;
    case 'ready':
    case 'ack':
    case 'pong':
    case 'error':
      break;
    default:
      e satisfies never;
  }
}

const chatSlice = createSlice({
  name: 'chat',
  initialState,
  reducers: {
    asking(state, { payload }: PayloadAction<Pending>) {
      state.pending = payload;
      state.own[payload.answer_id] = true;
    },
    askFailed(state, { payload }: PayloadAction<{ answer_id: string; error: string }>) {
      if (state.pending?.answer_id === payload.answer_id) state.pending.error = payload.error;
    },
    pendingDropped(state) {
      state.pending = null;
    },
    ownEnded(state, { payload }: PayloadAction<string>) {
      delete state.own[payload];
      const m = state.messages.entities[payload];
      if (m?.status === 'streaming') state.behind[m.session_id] = true;
    },
    wentToOpened(state) {
      state.opened = null;
    },
    branchChosen(state, { payload }: PayloadAction<Message>) {
      choose(state, payload);
      localStorage.setItem(CHOICES_KEY, JSON.stringify(state.choices));
    },
    followed(state, { payload }: PayloadAction<{ session: string; version: number }>) {
      const known = state.versions[payload.session];
      if (known === undefined || payload.version > known) state.stale[payload.session] = true;
    },
    askedAgain(state, { payload }: PayloadAction<string>) {
      delete state.behind[payload];
    },
    wentOnline(state, { payload }: PayloadAction<boolean>) {
      state.online = payload;
    },
  },
  extraReducers: (builder) => {
    builder
      .addCase(forgotten, initialState)
      .addCase(eventsReceived, (state, { payload }) => {
        for (const e of payload.events) apply(state, e, payload.via);
      })
      .addCase(loadMessages.pending, (state, { meta }) => {
        delete state.stale[meta.arg];
      })
      .addCase(loadMessages.fulfilled, (state, { payload, meta }) => {
        for (const m of payload.items) {
          const old = state.messages.entities[m.id];
          // The answer that this tab reads itself goes on from where that reading stands.
          const keep = m.status === 'streaming' && old && (state.own[m.id] || m.seq <= old.seq);
          if (!keep) messages.setOne(state.messages, m);
        }
        messages.removeMany(state.messages, payload.deleted);
        state.versions[meta.arg] = Math.max(state.versions[meta.arg] ?? 0, payload.version);
      })
      .addCase(loadMessages.rejected, (state, { meta, payload }) => {
        if (payload === 404) state.missing[meta.arg] = true;
      });
  },
  selectors: {
    selectMessage: (chat, id: string): Message | undefined => chat.messages.entities[id],
    selectPending: (chat) => chat.pending,
    selectLoadedSession: (chat, session: string) => chat.versions[session] !== undefined,
  },
});

/** Siblings of one parent, in the order they were added. */
export function childrenOf(chat: ChatState, session: string, parent: string | null): Message[] {
  return chat.messages.ids
    .map((id) => chat.messages.entities[id])
    .filter((m) => m.session_id === session && m.parent_id === parent)
    .sort((a, b) => a.created_at.localeCompare(b.created_at));
}

/** The ids of the branch that is shown, root first. */
export function branchOf(chat: ChatState, session: string): string[] {
  const children = new Map<string | null, Message[]>();
  for (const id of chat.messages.ids) {
    const m = chat.messages.entities[id];
    if (m.session_id !== session) continue;
    const list = children.get(m.parent_id);
    if (list) list.push(m);
    else children.set(m.parent_id, [m]);
  }
  const path: string[] = [];
  for (let parent: string | null = null; ; ) {
    const list = children.get(parent)?.sort((a, b) => a.created_at.localeCompare(b.created_at));
    if (!list) return path;
    const wanted = chat.choices[parent ?? session];
    const next: Message = list.find((m) => m.id === wanted) ?? list[list.length - 1];
    path.push(next.id);
    parent = next.id;
  }
}

/** Where the page stands in a session's streams, for a subscribe. */
export function positionsOf(chat: ChatState, session: string): Record<string, number> {
  const out: Record<string, number> = {};
  for (const id of chat.messages.ids) {
    const m = chat.messages.entities[id];
    if (m.session_id === session && m.status === 'streaming' && !chat.own[m.id]) out[m.id] = m.seq;
  }
  return out;
}

export const {
  asking,
  askFailed,
  pendingDropped,
  ownEnded,
  wentToOpened,
  branchChosen,
  followed,
  askedAgain,
  wentOnline,
} = chatSlice.actions;
export const { selectMessage, selectPending, selectLoadedSession } = chatSlice.selectors;
export const chatReducer = chatSlice.reducer;
