import { createAsyncThunk, createEntityAdapter, createSlice, type PayloadAction } from '@reduxjs/toolkit';
import { ApiError } from '../../shared/api';
import { eventsReceived, forgotten } from '../../shared/events';
import { patiently } from '../../shared/patience';
import type { Changes, Session, SessionSettings } from '../../shared/protocol';
import { callThunk, type Extra } from '../../shared/thunk';

const adapter = createEntityAdapter<Session>({
  sortComparer: (a, b) => b.updated_at.localeCompare(a.updated_at) || b.id.localeCompare(a.id),
});

const { selectAll } = adapter.getSelectors(); // made once: it remembers the list it made

interface SessionsState {
  list: ReturnType<typeof adapter.getInitialState>;
  version: number; // the user's; below 0 before the first load
  stale: boolean;
  current: string | null;
  /** What is set for the session that the next question opens. */
  fresh: Partial<SessionSettings>;
}

/** Reads the list, or what changed since the version that the page has. */
export const loadSessions = createAsyncThunk<Changes<Session>, void, Extra & { state: { sessions: SessionsState } }>(
  'sessions/load',
  (_, { extra, getState }) =>
    patiently(() => extra.api.json('GET', `/sessions?after_version=${Math.max(0, getState().sessions.version)}`)),
);

/** Changes a title, the model or what else is set for a session. */
export const updateSession = callThunk<Session, { id: string; patch: Partial<Session> }>(
  'sessions/update',
  (api, { id, patch }) => api.json('PATCH', `/sessions/${id}`, patch),
);

export const deleteSession = callThunk<void, string>('sessions/delete', (api, id) =>
  api.json<void>('DELETE', `/sessions/${id}`).catch((e) => {
    if (!(e instanceof ApiError) || e.status !== 404) throw e; // else another tab was first
  }),
);

const initialState: SessionsState = {
  list: adapter.getInitialState(),
  version: -1,
  stale: false,
  current: null,
  fresh: {},
};

const sessionsSlice = createSlice({
  name: 'sessions',
  initialState,
  reducers: {
    sessionOpened(state, { payload }: PayloadAction<string | null>) {
      state.current = payload;
    },
    freshSet(state, { payload }: PayloadAction<Partial<SessionSettings>>) {
      state.fresh = payload;
    },
  },
  extraReducers: (builder) => {
    builder
      .addCase(forgotten, () => initialState)
      .addCase(loadSessions.fulfilled, (state, { payload }) => {
        adapter.upsertMany(state.list, payload.items);
        adapter.removeMany(state.list, payload.deleted);
        state.version = Math.max(state.version, payload.version);
        state.stale = false;
      })
      .addCase(loadSessions.rejected, (state) => {
        state.stale = false;
      })
      .addCase(updateSession.fulfilled, (state, { payload }) => {
        adapter.upsertOne(state.list, payload);
      })
      .addCase(deleteSession.fulfilled, (state, { meta }) => {
        adapter.removeOne(state.list, meta.arg);
      })
      .addCase(eventsReceived, (state, { payload }) => {
        if (payload.via !== 'socket' || state.version < 0) return;
        for (const e of payload.events) {
          const version =
            e.type === 'session' || e.type === 'session_deleted' || e.type === 'ready'
              ? e.user_version
              : e.type === 'version' && e.user_id
                ? e.version
                : undefined;
          if (version === undefined || version <= state.version) continue;
          if (version > state.version + 1 || e.type === 'ready' || e.type === 'version') {
            state.stale = true;
            continue;
          }
          state.version = version;
          if (e.type === 'session') adapter.upsertOne(state.list, e.session);
          if (e.type === 'session_deleted') adapter.removeOne(state.list, e.session_id);
        }
      });
  },
  selectors: {
    selectCurrent: (state) => state.current,
    selectSession: (state, id: string | null): Session | undefined => (id ? state.list.entities[id] : undefined),
    selectSessions: (state) => selectAll(state.list),
  },
});

export const { sessionOpened, freshSet } = sessionsSlice.actions;
export const { selectCurrent, selectSession, selectSessions } = sessionsSlice.selectors;
export const sessionsReducer = sessionsSlice.reducer;
