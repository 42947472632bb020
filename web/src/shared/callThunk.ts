import { createAsyncThunk } from '@reduxjs/toolkit';
import { type Api, failureOf } from './api';
import type { Refusal } from './protocol';

/** What every thunk gets beside the store. */
export interface Extra {
  extra: { api: Api };
}

/** A thunk that makes one call; a refusal is its rejection's payload. */
export function callThunk<Result, Arg = void>(name: string, call: (api: Api, arg: Arg) => Promise<Result>) {
  return createAsyncThunk<Result, Arg, Extra & { rejectValue: Refusal }>(
    name,
    async (arg, { extra, rejectWithValue }) => {
      try {
        return await call(extra.api, arg);
      } catch (e) {
        return rejectWithValue(failureOf(e));
      }
    },
  );
}
