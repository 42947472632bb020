import { authReducer } from './authSlice';
import { limitsReducer } from './limitsSlice';
import { modelsReducer } from './modelsSlice';
import { noticeReducer } from './noticeSlice';
import { placeReducer } from './placeSlice';

/** The parts of the store that every feature may read. */
export const sharedReducers = {
  auth: authReducer,
  models: modelsReducer,
  limits: limitsReducer,
  notice: noticeReducer,
  place: placeReducer,
};

export type SharedState = { [Part in keyof typeof sharedReducers]: ReturnType<(typeof sharedReducers)[Part]> };
