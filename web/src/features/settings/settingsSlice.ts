import { createSlice } from '@reduxjs/toolkit';
import { forgotten } from '../../shared/events';
import { answerCounts, askedFor, askingFailed, newOrder, type Order } from '../../shared/order';
import type { Endpoint, ModelPrice, Price, UserSettings, Warning } from '../../shared/protocol';
import { callThunk } from '../../shared/thunk';

export const loadSettings = callThunk<UserSettings>('settings/load', (api) => api.json('GET', '/users/me/settings'));

export const saveSettings = callThunk<UserSettings, Partial<UserSettings>>('settings/save', (api, patch) =>
  api.json('PATCH', '/users/me/settings', patch),
);

const items = <T>(got: Promise<{ items: T[] }>): Promise<T[]> => got.then((g) => g.items);

export const loadEndpoints = callThunk<Endpoint[]>('settings/endpoints', (api) => items(api.json('GET', '/providers')));

/** A provider as it is sent: the key only goes there, and never comes back. */
export interface EndpointDraft {
  name: string;
  kind: string;
  base_url: string;
  api_key: string;
  shared: boolean;
}

export const putEndpoint = callThunk<Endpoint[], EndpointDraft>('settings/putEndpoint', async (api, draft) => {
  const { name, kind, base_url, api_key, shared } = draft;
  const body = { kind, base_url, ...(api_key && { api_key }), ...(shared && { shared }) };
  await api.json('PUT', `/providers/${encodeURIComponent(name)}`, body);
  return items(api.json('GET', '/providers'));
});

export const deleteEndpoint = callThunk<Endpoint[], Endpoint>(
  'settings/deleteEndpoint',
  async (api, { name, source }) => {
    const query = source === 'admin' ? '?shared=true' : '';
    await api.json('DELETE', `/providers/${encodeURIComponent(name)}${query}`);
    return items(api.json('GET', '/providers'));
  },
);

const pricesOf = (model: string) => `/prices/${model.split('/').map(encodeURIComponent).join('/')}`;

export const loadPrices = callThunk<ModelPrice[]>('settings/prices', (api) => items(api.json('GET', '/prices')));

export const putPrice = callThunk<ModelPrice[], Price & { model: string }>(
  'settings/putPrice',
  async (api, { model, ...price }) => {
    await api.json('PUT', pricesOf(model), price);
    return items(api.json('GET', '/prices'));
  },
);

export const deletePrice = callThunk<ModelPrice[], string>('settings/deletePrice', async (api, model) => {
  await api.json('DELETE', pricesOf(model));
  return items(api.json('GET', '/prices'));
});

/** For admins alone. */
export const loadWarnings = callThunk<Warning[]>('settings/warnings', (api) => items(api.json('GET', '/warnings')));

type List = 'mine' | 'endpoints' | 'prices';

export interface SettingsState {
  mine: UserSettings | null;
  endpoints: Endpoint[] | null;
  prices: ModelPrice[] | null;
  warnings: Warning[];
  orders: Record<List, Order>;
  /** Why something could not be read. */
  error: string;
}

const initialState: SettingsState = {
  mine: null,
  endpoints: null,
  prices: null,
  warnings: [],
  orders: { mine: newOrder(), endpoints: newOrder(), prices: newOrder() },
  error: '',
};

const settingsSlice = createSlice({
  name: 'settings',
  initialState,
  reducers: {},
  extraReducers: (builder) => {
    builder.addCase(forgotten, () => initialState);
    builder.addCase(loadWarnings.fulfilled, (state, { payload }) => {
      state.warnings = payload;
    });
    /** What a thunk answers is one of the lists. */
    const answers = <T extends UserSettings | Endpoint[] | ModelPrice[], Arg>(
      thunk: ReturnType<typeof callThunk<T, Arg>>,
      list: List,
      changes: boolean,
    ) => {
      builder
        .addCase(thunk.pending, (state, { meta }) => askedFor(state.orders[list], meta.requestId))
        .addCase(thunk.rejected, (state, { meta, payload }) => {
          askingFailed(state.orders[list], meta.requestId);
          if (!changes) state.error = payload?.detail ?? 'The settings cannot be read.';
        })
        .addCase(thunk.fulfilled, (state, { meta, payload }) => {
          if (!answerCounts(state.orders[list], meta.requestId, changes)) return;
          Object.assign(state, { [list]: payload, error: '' });
        });
    };
    answers(loadSettings, 'mine', false);
    answers(saveSettings, 'mine', true);
    answers(loadEndpoints, 'endpoints', false);
    answers(putEndpoint, 'endpoints', true);
    answers(deleteEndpoint, 'endpoints', true);
    answers(loadPrices, 'prices', false);
    answers(putPrice, 'prices', true);
    answers(deletePrice, 'prices', true);
  },
});

export const settingsReducer = settingsSlice.reducer;
