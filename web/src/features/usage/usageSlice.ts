import { createSlice } from '@reduxjs/toolkit';
import { loggedOut } from '../../shared/events';
import { loadThunk } from '../../shared/loads';
import type { UsageSum } from '../../shared/protocol';

export type Grouping = 'day' | 'model' | 'session' | 'user';

export interface UsageQuery {
  by: Grouping;
  days: number;
  everyone: boolean;
}

const keyOf = (q: UsageQuery) => `${q.by} ${q.days} ${q.by !== 'user' && q.everyone}`;

const about = (q: UsageQuery) => `usage of ${keyOf(q)}`;

export const loadUsage = loadThunk<UsageSum[], UsageQuery>(
  'usage/load',
  { about },
  async (api, { by, days, everyone }) => {
    const query = new URLSearchParams({ by, days: String(days) });
    if (everyone && by !== 'user') query.set('everyone', 'true');
    return (await api.json<{ items: UsageSum[] }>('GET', `/usage?${query}`)).items;
  },
);

export type UsageState = typeof initialState;

const initialState = { sums: {} as Record<string, UsageSum[]>, error: '' };

const usageSlice = createSlice({
  name: 'usage',
  initialState,
  reducers: {},
  extraReducers: (builder) => {
    builder
      .addCase(loggedOut, () => initialState)
      .addCase(loadUsage.fulfilled, (state, { payload, meta }) => {
        state.sums[keyOf(meta.arg)] = payload;
        state.error = '';
      })
      .addCase(loadUsage.rejected, (state, { payload }) => {
        state.error = payload?.detail ?? 'The usage cannot be read.';
      });
  },
  selectors: {
    selectUsage: (state, q: UsageQuery): UsageSum[] | undefined => state.sums[keyOf(q)],
    selectUsageError: (state) => state.error,
  },
});

export const { selectUsage, selectUsageError } = usageSlice.selectors;
export const usageReducer = usageSlice.reducer;
