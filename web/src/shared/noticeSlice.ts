import { createSlice, type PayloadAction } from '@reduxjs/toolkit';
import { loggedOut } from './events';
import type { Failure } from './protocol';

/** What was asked for and did not happen, or what happened without being asked for. */
export interface Notice {
  what: string;
  /** A failure, or the words that explain it. */
  why: Failure | string;
}

const noticeSlice = createSlice({
  name: 'notice',
  initialState: { last: null as Notice | null },
  reducers: {
    noticed(state, { payload }: PayloadAction<Notice | null>) {
      state.last = payload;
    },
  },
  extraReducers: (builder) => {
    builder.addCase(loggedOut, (state) => {
      state.last = null;
    });
  },
});

export const { noticed } = noticeSlice.actions;
export const noticeReducer = noticeSlice.reducer;
