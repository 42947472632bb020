import { createSlice } from '@reduxjs/toolkit';
import { forgotten } from './events';
import type { Limits } from './protocol';
import { callThunk } from './thunk';

export const loadLimits = callThunk<Limits>('limits/load', (api) => api.json('GET', '/limits'));

const limitsSlice = createSlice({
  name: 'limits',
  initialState: { known: null as Limits | null },
  reducers: {},
  extraReducers: (builder) => {
    builder
      .addCase(forgotten, (state) => {
        state.known = null;
      })
      .addCase(loadLimits.fulfilled, (state, { payload }) => {
        state.known = payload;
      });
  },
});

export const limitsReducer = limitsSlice.reducer;
