import { createSlice, type PayloadAction } from '@reduxjs/toolkit';
import { forgotten } from './events';
import type { Failure } from './protocol';

/** What was asked for and did not happen. */
export interface Notice {
  what: string;
  why: Failure;
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
    builder.addCase(forgotten, (state) => {
      state.last = null;
    });
  },
});

export const { noticed } = noticeSlice.actions;
export const noticeReducer = noticeSlice.reducer;
