import { createSlice, type PayloadAction } from '@reduxjs/toolkit';
import { eventsReceived, loggedOut, sessionDeleted } from '../../../shared/events';
import { changesThunk } from '../../../shared/loads';
import type { Failure, Message } from '../../../shared/protocol';
import { applyEvent } from './applyEvent';
import {
  type ChatState,
  chooseVersion,
  forgetSession,
  initialState,
  loseSession,
  messages,
  removeMessage,
} from './chatState';
import { type HeldMessage, held } from './parts';
import type { Pending } from './pendingQuestion';

/** Reads a session's messages, or what changed since the version that the page has. */
export const loadMessages = changesThunk<Message, { chat: ChatState }, string>(
  'chat/load',
  ({ chat }, session) => (chat.missing[session] ? 'gone' : chat.versions[session]),
  (session, after) => `/sessions/${session}/messages${after === undefined ? '' : `?after_version=${after}`}`,
);

const SESSIONS_MOST = 8;

/** Keeps few sessions: a page may be open for weeks. */
function forgetOldest(state: ChatState): void {
  const loaded = Object.keys(state.versions);
  const busy = new Set(Object.keys(state.own).map((id) => state.messages.entities[id]?.session_id));
  for (const session of loaded.slice(0, -SESSIONS_MOST)) {
    if (!busy.has(session)) forgetSession(state, session);
  }
}

const chatSlice = createSlice({
  name: 'chat',
  initialState,
  reducers: {
    questionAsked(state, { payload }: PayloadAction<Pending>) {
      const at = state.pending.findIndex((p) => p.answer_id === payload.answer_id);
      if (at < 0) state.pending.push(payload);
      else state.pending[at] = payload;
      state.own[payload.answer_id] = true;
    },
    sessionMade(state, { payload }: PayloadAction<{ answer_id: string; session: string }>) {
      const p = state.pending.find((x) => x.answer_id === payload.answer_id);
      if (p) p.made = payload.session;
    },
    askFailed(state, { payload }: PayloadAction<{ answer_id: string; failure: Failure }>) {
      const p = state.pending.find((x) => x.answer_id === payload.answer_id);
      if (p) p.failure = payload.failure;
    },
    pendingDropped(state, { payload }: PayloadAction<string>) {
      state.pending = state.pending.filter((p) => p.answer_id !== payload);
    },
    ownReadEnded(state, { payload }: PayloadAction<string>) {
      delete state.own[payload];
    },
    openedLeft(state) {
      state.opened = null;
    },
    branchChosen(state, { payload }: PayloadAction<string>) {
      const m = state.messages.entities[payload];
      if (m) chooseVersion(state, m);
    },
    sessionFollowed(state, { payload }: PayloadAction<{ session: string; version: number }>) {
      const known = state.versions[payload.session];
      if (known === undefined) return;
      delete state.versions[payload.session]; // to the end: it is the one used last
      state.versions[payload.session] = known;
    },
    sessionNotFound(state, { payload }: PayloadAction<string>) {
      loseSession(state, payload);
    },
    onlineChanged(state, { payload }: PayloadAction<boolean>) {
      state.online = payload;
    },
  },
  extraReducers: (builder) => {
    builder
      .addCase(loggedOut, () => ({ ...initialState(), pending: [] }))
      .addCase(eventsReceived, (state, { payload }) => {
        for (const e of payload.events) applyEvent(state, e, payload.via);
      })
      .addCase(sessionDeleted, (state, { payload }) => {
        loseSession(state, payload);
      })
      .addCase(loadMessages.fulfilled, (state, { payload, meta }) => {
        for (const m of payload.items) {
          if (state.deleted[m.id]) continue;
          const old = state.messages.entities[m.id];
          // A stream goes on from where the page stands in it, and is not begun again when it has ended.
          const keep = m.status === 'streaming' && old?.seq >= 0;
          if (!keep) messages.setOne(state.messages, held(m));
        }
        for (const id of payload.deleted) removeMessage(state, id);
        state.versions[meta.arg] = payload.version;
        forgetOldest(state);
        // What was not known to be sent was sent after all.
        state.pending = state.pending.filter((p) => !p.failure || !state.messages.entities[p.answer_id]);
      })
      .addCase(loadMessages.rejected, (state, { meta, payload }) => {
        if (payload === 404) loseSession(state, meta.arg);
      });
  },
  selectors: {
    selectMessage: (chat, id: string): HeldMessage | undefined => chat.messages.entities[id],
    selectPending: (chat) => chat.pending,
  },
});

export const {
  questionAsked,
  sessionMade,
  askFailed,
  pendingDropped,
  ownReadEnded,
  openedLeft,
  branchChosen,
  sessionFollowed,
  sessionNotFound,
  onlineChanged,
} = chatSlice.actions;
export const { selectMessage, selectPending } = chatSlice.selectors;
export const chatReducer = chatSlice.reducer;
