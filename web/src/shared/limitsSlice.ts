import { createSlice } from '@reduxjs/toolkit';
import { forgotten } from './events';
import { answerCounts, askedFor, askingFailed, newOrder } from './order';
import type { Limits } from './protocol';
import { callThunk } from './thunk';

export const loadLimits = callThunk<Limits>('limits/load', (api) => api.json('GET', '/limits'));

const limitsSlice = createSlice({
  name: 'limits',
  initialState: { order: newOrder(), known: null as Limits | null },
  reducers: {},
  extraReducers: (builder) => {
    builder
      .addCase(forgotten, (state) => {
        state.known = null;
      })
      .addCase(loadLimits.pending, (state, { meta }) => askedFor(state.order, meta.requestId))
      .addCase(loadLimits.rejected, (state, { meta }) => askingFailed(state.order, meta.requestId))
      .addCase(loadLimits.fulfilled, (state, { payload, meta }) => {
        if (answerCounts(state.order, meta.requestId)) state.known = payload;
      });
  },
});

export const limitsReducer = limitsSlice.reducer;
