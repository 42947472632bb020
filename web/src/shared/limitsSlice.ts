import { createSlice } from '@reduxjs/toolkit';
import { forgotten } from './events';
import { loadThunk } from './loads';
import type { Limits } from './protocol';

export const loadLimits = loadThunk<Limits>('limits/load', { about: 'limits' }, (api) => api.json('GET', '/limits'));

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
