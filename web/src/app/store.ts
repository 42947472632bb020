import {
  combineReducers,
  configureStore,
  createListenerMiddleware,
  type ThunkDispatch,
  type UnknownAction,
} from '@reduxjs/toolkit';
import { filesReducer } from '../features/chat/asking/files/filesSlice';
import { chatReducer } from '../features/chat/streaming/chatSlice';
import { sessionsReducer } from '../features/sessions/sessionsSlice';
import { settingsReducer } from '../features/settings/settingsSlice';
import { usageReducer } from '../features/usage/usageSlice';
import type { Api } from '../shared/api';
import { loggedOut } from '../shared/events';
import { dropLate } from '../shared/loads';
import { sharedReducers } from '../shared/state';
import { listen, type Outside } from './listening';

const reducer = combineReducers({
  ...sharedReducers,
  sessions: sessionsReducer,
  chat: chatReducer,
  files: filesReducer,
  settings: settingsReducer,
  usage: usageReducer,
});

export type RootState = ReturnType<typeof reducer>;
export type AppDispatch = ThunkDispatch<RootState, { api: Api }, UnknownAction>;

/** A page by itself: it has no address, and hears of nothing. */
const nowhere: Outside = {
  navigate() {},
  connect: () => ({ follow() {}, catchUp() {}, close() {} }),
};

/** The page's state. An answer that is late is dropped before anything hears of it. */
export function makeStore(api: Api, outside = nowhere) {
  const listener = createListenerMiddleware();
  listen(listener.startListening.withTypes<RootState, AppDispatch>(), outside);
  const store = configureStore({
    reducer,
    middleware: (defaults) =>
      defaults({ thunk: { extraArgument: { api } }, serializableCheck: false, immutableCheck: false }).concat(
        dropLate(api),
        listener.middleware,
      ),
  });
  api.onLogout = () => store.dispatch(loggedOut());
  return store;
}

export type AppStore = ReturnType<typeof makeStore>;
