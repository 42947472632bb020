import { createSlice } from '@reduxjs/toolkit';
import { loggedOut } from './events';
import { loadThunk } from './loads';
import type { Limits } from './protocol';

export const loadLimits = loadThunk<Limits>('limits/load', { about: 'limits' }, (api) => api.json('GET', '/limits'));

const limitsSlice = createSlice({
  name: 'limits',
  initialState: { known: null as Limits | null },
  reducers: {},
  extraReducers: (builder) => {
    builder
      .addCase(loggedOut, (state) => {
        state.known = null;
      })
      .addCase(loadLimits.fulfilled, (state, { payload }) => {
        state.known = payload;
      });
  },
});

export const limitsReducer = limitsSlice.reducer;
