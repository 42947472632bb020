import { createAsyncThunk, createEntityAdapter, createSlice, type PayloadAction } from '@reduxjs/toolkit';
import { ApiError, failureOf } from '../../shared/api';
import { callThunk, type Extra } from '../../shared/callThunk';
import { eventsReceived, loggedOut, sessionDeleted } from '../../shared/events';
import { answerDropped, changesThunk } from '../../shared/loads';
import type { Failure, Session, SessionSettings } from '../../shared/protocol';

const adapter = createEntityAdapter<Session>({
  sortComparer: (a, b) => b.updated_at.localeCompare(a.updated_at) || b.id.localeCompare(a.id),
});

const { selectAll } = adapter.getSelectors(); // made once: it remembers the list it made

export interface SessionsState {
  list: ReturnType<typeof adapter.getInitialState>;
  version: number; // the user's; below 0 before the first load
  /** The newest version that was heard of. */
  heard: number;
  /** How many loads are under way. */
  loading: number;
  /** What was deleted: an answer that is late does not bring it back. */
  deleted: Record<string, boolean>;
  /** What this tab is deleting, or has deleted. */
  deleting: Record<string, boolean>;
  /** What is set for the session that the next question opens. */
  newChatSettings: Partial<SessionSettings>;
}

/** Reads the list, or what changed since the version that the page has. */
export const loadSessions = changesThunk<Session, { sessions: SessionsState }>(
  'sessions/load',
  ({ sessions: { version } }) => (version < 0 ? undefined : version),
  (_, after) => `/sessions?after_version=${after ?? 0}`,
);

/** Changes a title, the model or what else is set for a session. */
export const updateSession = callThunk<Session, { id: string; patch: Partial<Session> }>(
  'sessions/update',
  (api, { id, patch }) => api.json('PATCH', `/sessions/${id}`, patch),
);

export const deleteSession = createAsyncThunk<void, string, Extra & { rejectValue: Failure }>(
  'sessions/delete',
  async (id, { extra, dispatch, rejectWithValue }) => {
    try {
      await extra.api.json('DELETE', `/sessions/${id}`);
    } catch (e) {
      if (!(e instanceof ApiError) || e.status !== 404) return rejectWithValue(failureOf(e)); // else another tab was first
    }
    dispatch(sessionDeleted(id));
  },
);

const initialState: SessionsState = {
  list: adapter.getInitialState(),
  version: -1,
  heard: -1,
  loading: 0,
  deleted: {},
  deleting: {},
  newChatSettings: {},
};

function remove(state: SessionsState, id: string): void {
  state.deleted[id] = true;
  adapter.removeOne(state.list, id);
}

/** Puts sessions into the list, but for those that it has in a newer version and those that were deleted. */
function put(state: SessionsState, sessions: Session[]): void {
  const newer = (s: Session) => !((state.list.entities[s.id]?.version ?? 0) > s.version);
  adapter.upsertMany(
    state.list,
    sessions.filter((s) => !state.deleted[s.id] && newer(s)),
  );
}

/** A load has told of a version, whether or not its answer fitted the page. */
function loadEnded(state: SessionsState, version = -1): void {
  state.loading = Math.max(0, state.loading - 1);
  state.heard = Math.max(state.heard, version);
}

const sessionsSlice = createSlice({
  name: 'sessions',
  initialState,
  reducers: {
    newChatSettingsChanged(state, { payload }: PayloadAction<Partial<SessionSettings>>) {
      state.newChatSettings = payload;
    },
  },
  extraReducers: (builder) => {
    builder
      .addCase(loggedOut, () => initialState)
      .addCase(loadSessions.pending, (state) => {
        state.loading++;
      })
      .addCase(loadSessions.fulfilled, (state, { payload }) => {
        put(state, payload.items);
        for (const id of payload.deleted) remove(state, id);
        state.version = payload.version;
        loadEnded(state, payload.version);
      })
      .addCase(answerDropped, (state, { payload }) => {
        if (payload.load === loadSessions.typePrefix) loadEnded(state, payload.version);
      })
      .addCase(loadSessions.rejected, (state) => {
        state.loading = Math.max(0, state.loading - 1);
        if (state.loading === 0) state.heard = state.version; // it is asked for when it is heard of again
      })
      .addCase(updateSession.fulfilled, (state, { payload }) => {
        if (state.list.entities[payload.id]) put(state, [payload]);
      })
      .addCase(deleteSession.pending, (state, { meta }) => {
        state.deleting[meta.arg] = true;
      })
      .addCase(deleteSession.rejected, (state, { meta }) => {
        delete state.deleting[meta.arg];
      })
      .addCase(sessionDeleted, (state, { payload }) => {
        remove(state, payload);
      })
      .addCase(eventsReceived, (state, { payload }) => {
        if (payload.via !== 'socket') return;
        for (const e of payload.events) {
          const version =
            e.type === 'session' || e.type === 'session_deleted' || e.type === 'ready'
              ? e.user_version
              : e.type === 'version' && e.user_id
                ? e.version
                : undefined;
          if (version === undefined || version <= state.version) continue;
          state.heard = Math.max(state.heard, version);
          if (e.type === 'session_deleted') remove(state, e.session_id);
          const next = state.version >= 0 && version === state.version + 1;
          if (next && (e.type === 'session' || e.type === 'session_deleted')) state.version = version;
          if (next && e.type === 'session') put(state, [e.session]);
        }
      });
  },
  selectors: {
    selectSession: (state, id: string | null): Session | undefined => (id ? state.list.entities[id] : undefined),
    selectSessions: (state) => selectAll(state.list),
    /** Whether something was missed that no load under way may bring. */
    selectMissesSessions: ({ version, heard, loading }) => version >= 0 && loading === 0 && heard > version,
  },
});

export const { newChatSettingsChanged } = sessionsSlice.actions;
export const { selectSession, selectSessions, selectMissesSessions } = sessionsSlice.selectors;
export const sessionsReducer = sessionsSlice.reducer;
