import { configureStore } from '@reduxjs/toolkit';
import { moveDraft } from '../features/chat/asking/drafts';
import { filesMoved, filesReducer, keepFiles } from '../features/chat/asking/files/filesSlice';
import { chatReducer } from '../features/chat/streaming/chatSlice';
import { keepPending } from '../features/chat/streaming/pending';
import { keepChoices } from '../features/chat/streaming/state';
import { freshSet, sessionsReducer } from '../features/sessions/sessionsSlice';
import { settingsReducer } from '../features/settings/settingsSlice';
import { usageReducer } from '../features/usage/usageSlice';
import type { Api } from '../shared/api';
import { dropLate } from '../shared/loads';
import { sharedReducers } from '../shared/state';

export function makeStore(api: Api) {
  const store = configureStore({
    reducer: {
      ...sharedReducers,
      sessions: sessionsReducer,
      chat: chatReducer,
      files: filesReducer,
      settings: settingsReducer,
      usage: usageReducer,
    },
    middleware: (defaults) =>
      defaults({ thunk: { extraArgument: { api } }, serializableCheck: false, immutableCheck: false }).concat(
        dropLate(api),
      ),
  });
  // What a reload must not lose, nor a new chat that gets its id.
  let { pending, choices, opened } = store.getState().chat;
  let { drafts } = store.getState().files;
  store.subscribe(() => {
    const state = store.getState();
    if (state.chat.pending !== pending) keepPending(state.chat.pending);
    if (state.chat.choices !== choices) keepChoices(state.chat.choices, choices);
    if (state.files.drafts !== drafts) keepFiles(state.files.drafts);
    ({ pending, choices } = state.chat);
    drafts = state.files.drafts;
    if (state.chat.opened === opened) return;
    opened = state.chat.opened;
    if (!opened) return;
    store.dispatch(freshSet({})); // it has what was set for it
    if (state.sessions.current !== null) return; // the person has gone elsewhere
    moveDraft(opened);
    store.dispatch(filesMoved(opened));
  });
  return store;
}

export type AppStore = ReturnType<typeof makeStore>;
export type RootState = ReturnType<AppStore['getState']>;
export type AppDispatch = AppStore['dispatch'];
