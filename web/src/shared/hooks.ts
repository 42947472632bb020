import type { AsyncThunkAction, ThunkDispatch, UnknownAction } from '@reduxjs/toolkit';
import { useCallback } from 'react';
import { useDispatch, useSelector, useStore } from 'react-redux';
import type { Api } from './api';
import type { Extra } from './callThunk';
import { noticed } from './noticeSlice';
import type { Refusal } from './protocol';
import type { SharedState } from './state';

/** Takes any thunk: what part of the store it reads is the thunk's own business. */
type AppDispatch = ThunkDispatch<never, { api: Api }, UnknownAction>;

export const useAppDispatch = useDispatch.withTypes<AppDispatch>();
/** Reads what all features share. A feature that has a state of its own has a hook of its own for both. */
export const useSharedSelector = useSelector.withTypes<SharedState>();

type Call = AsyncThunkAction<unknown, unknown, Extra & { state: never; rejectValue: Refusal }>;

/** Makes a call that has no place of its own to say that it failed; otherwise is what did not happen. */
export function useAttempt() {
  const store = useStore<SharedState>();
  const dispatch = useAppDispatch();
  return useCallback(
    async (call: Call, otherwise: string) => {
      const { user } = store.getState().auth;
      const done = await dispatch(call);
      if (store.getState().auth.user !== user) return; // it is nothing to the next one
      dispatch(noticed('error' in done && done.payload ? { what: otherwise, why: done.payload } : null));
    },
    [store, dispatch],
  );
}
