import { createSlice } from '@reduxjs/toolkit';
import { loggedOut } from '../../shared/events';
import { loadThunk } from '../../shared/loads';
import type { Endpoint, ModelPrice, Price, UserSettings, Warning } from '../../shared/protocol';

type List = 'mine' | 'endpoints' | 'prices' | 'warnings';

const reading = (list: List) => ({ about: `settings/${list}` });
const changing = (list: List) => ({ about: `settings/${list}`, changes: true });

export const loadSettings = loadThunk<UserSettings>('settings/load', reading('mine'), (api) =>
  api.json('GET', '/users/me/settings'),
);

export const saveSettings = loadThunk<UserSettings, Partial<UserSettings>>(
  'settings/save',
  changing('mine'),
  (api, patch) => api.json('PATCH', '/users/me/settings', patch),
);

const items = <T>(got: Promise<{ items: T[] }>): Promise<T[]> => got.then((g) => g.items);

export const loadEndpoints = loadThunk<Endpoint[]>('settings/endpoints', reading('endpoints'), (api) =>
  items(api.json('GET', '/providers')),
);

/** A provider as it is sent: the key only goes there, and never comes back. */
export interface EndpointDraft {
  name: string;
  kind: string;
  base_url: string;
  api_key: string;
  shared: boolean;
}

export const putEndpoint = loadThunk<Endpoint[], EndpointDraft>(
  'settings/putEndpoint',
  changing('endpoints'),
  async (api, draft) => {
    const { name, kind, base_url, api_key, shared } = draft;
    const body = { kind, base_url, ...(api_key && { api_key }), ...(shared && { shared }) };
    await api.json('PUT', `/providers/${encodeURIComponent(name)}`, body);
    return items(api.json('GET', '/providers'));
  },
);

export const deleteEndpoint = loadThunk<Endpoint[], Endpoint>(
  'settings/deleteEndpoint',
  changing('endpoints'),
  async (api, { name, source }) => {
    const query = source === 'admin' ? '?shared=true' : '';
    await api.json('DELETE', `/providers/${encodeURIComponent(name)}${query}`);
    return items(api.json('GET', '/providers'));
  },
);

const pricesOf = (model: string) => `/prices/${model.split('/').map(encodeURIComponent).join('/')}`;

export const loadPrices = loadThunk<ModelPrice[]>('settings/prices', reading('prices'), (api) =>
  items(api.json('GET', '/prices')),
);

export const putPrice = loadThunk<ModelPrice[], Price & { model: string }>(
  'settings/putPrice',
  changing('prices'),
  async (api, { model, ...price }) => {
    await api.json('PUT', pricesOf(model), price);
    return items(api.json('GET', '/prices'));
  },
);

export const deletePrice = loadThunk<ModelPrice[], string>(
  'settings/deletePrice',
  changing('prices'),
  async (api, model) => {
    await api.json('DELETE', pricesOf(model));
    return items(api.json('GET', '/prices'));
  },
);

/** For admins alone. */
export const loadWarnings = loadThunk<Warning[]>('settings/warnings', reading('warnings'), (api) =>
  items(api.json('GET', '/warnings')),
);

export interface SettingsState {
  mine: UserSettings | null;
  endpoints: Endpoint[] | null;
  prices: ModelPrice[] | null;
  warnings: Warning[];
  /** Why something could not be read. */
  error: string;
}

const initialState: SettingsState = {
  mine: null,
  endpoints: null,
  prices: null,
  warnings: [],
  error: '',
};

const settingsSlice = createSlice({
  name: 'settings',
  initialState,
  reducers: {},
  extraReducers: (builder) => {
    builder.addCase(loggedOut, () => initialState);
    builder.addCase(loadWarnings.fulfilled, (state, { payload }) => {
      state.warnings = payload;
    });
    /** What a thunk answers is one of the lists. */
    const answers = <T extends UserSettings | Endpoint[] | ModelPrice[], Arg>(
      thunk: ReturnType<typeof loadThunk<T, Arg>>,
      list: List,
      changes: boolean,
    ) => {
      builder
        .addCase(thunk.rejected, (state, { payload }) => {
          if (!changes) state.error = payload?.detail ?? 'The settings cannot be read.';
        })
        .addCase(thunk.fulfilled, (state, { payload }) => {
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
