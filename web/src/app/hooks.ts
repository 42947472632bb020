import type { AsyncThunkAction } from '@reduxjs/toolkit';
import { useCallback } from 'react';
import { useDispatch, useSelector } from 'react-redux';
import { noticed } from '../shared/noticeSlice';
import type { Failure } from '../shared/protocol';
import type { Extra } from '../shared/thunk';
import type { AppDispatch, RootState } from './store';

export const useAppDispatch = useDispatch.withTypes<AppDispatch>();
export const useAppSelector = useSelector.withTypes<RootState>();

type Call = AsyncThunkAction<unknown, unknown, Extra & { state: RootState; rejectValue: Failure }>;

/** Makes a call that has no place of its own to say that it failed; otherwise is what did not happen. */
export function useAttempt() {
  const dispatch = useAppDispatch();
  return useCallback(
    async (call: Call, otherwise: string) => {
      const done = await dispatch(call);
      dispatch(noticed('error' in done && done.payload ? { what: otherwise, why: done.payload } : null));
    },
    [dispatch],
  );
}
