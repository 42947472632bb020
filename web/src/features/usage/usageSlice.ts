import { createSlice } from '@reduxjs/toolkit';
import { forgotten } from '../../shared/events';
import { answerCounts, askedFor, askingFailed, newOrder, type Order } from '../../shared/order';
import type { UsageSum } from '../../shared/protocol';
import { callThunk } from '../../shared/thunk';

export type Grouping = 'day' | 'model' | 'session' | 'user';

export interface UsageQuery {
  by: Grouping;
  days: number;
  everyone: boolean;
}

const keyOf = (q: UsageQuery) => `${q.by} ${q.days} ${q.by !== 'user' && q.everyone}`;

export const loadUsage = callThunk<UsageSum[], UsageQuery>('usage/load', async (api, { by, days, everyone }) => {
  const query = new URLSearchParams({ by, days: String(days) });
  if (everyone && by !== 'user') query.set('everyone', 'true');
  return (await api.json<{ items: UsageSum[] }>('GET', `/usage?${query}`)).items;
});

export type UsageState = typeof initialState;

const initialState = { orders: {} as Record<string, Order>, sums: {} as Record<string, UsageSum[]>, error: '' };

const usageSlice = createSlice({
  name: 'usage',
  initialState,
  reducers: {},
  extraReducers: (builder) => {
    builder
      .addCase(forgotten, () => initialState)
      .addCase(loadUsage.pending, (state, { meta }) => {
        const key = keyOf(meta.arg);
        state.orders[key] ??= newOrder();
        askedFor(state.orders[key], meta.requestId);
      })
      .addCase(loadUsage.fulfilled, (state, { payload, meta }) => {
        const key = keyOf(meta.arg);
        if (!answerCounts(state.orders[key] ?? newOrder(), meta.requestId)) return;
        state.sums[key] = payload;
        state.error = '';
      })
      .addCase(loadUsage.rejected, (state, { payload, meta }) => {
        const order = state.orders[keyOf(meta.arg)];
        if (order) askingFailed(order, meta.requestId);
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
