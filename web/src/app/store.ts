import { configureStore } from '@reduxjs/toolkit';
import { authReducer } from '../features/auth/authSlice';
import { chatReducer } from '../features/chat/chatSlice';
import { modelsReducer } from '../features/models/modelsSlice';
import { sessionsReducer } from '../features/sessions/sessionsSlice';
import type { Api } from '../shared/api';

export function makeStore(api: Api) {
  return configureStore({
    reducer: { auth: authReducer, sessions: sessionsReducer, models: modelsReducer, chat: chatReducer },
    middleware: (defaults) =>
      defaults({ thunk: { extraArgument: { api } }, serializableCheck: false, immutableCheck: false }),
  });
}

export type AppStore = ReturnType<typeof makeStore>;
export type RootState = ReturnType<AppStore['getState']>;
export type AppDispatch = AppStore['dispatch'];
