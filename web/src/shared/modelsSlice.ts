import { createSlice } from '@reduxjs/toolkit';
import { loggedOut } from './events';
import { loadThunk } from './loads';
import type { Model, ModelList } from './protocol';

const KEY = 'omnichat-model';

/** Keeps the model of new sessions for a reload. */
export const keepModel = (model: string): void => localStorage.setItem(KEY, model);

export const loadModels = loadThunk<ModelList>('models/load', { about: 'models' }, (api) =>
  api.patiently(() => api.json('GET', '/models')),
);

const modelsSlice = createSlice({
  name: 'models',
  initialState: {
    items: [] as Model[],
    failed: [] as ModelList['failed'],
    chosen: localStorage.getItem(KEY) ?? '',
  },
  reducers: {
    /** The model of new sessions. */
    modelChosen(state, { payload }: { payload: string }) {
      state.chosen = payload;
    },
  },
  extraReducers: (builder) => {
    builder
      .addCase(loggedOut, (state) => {
        state.items = [];
        state.failed = [];
      })
      .addCase(loadModels.fulfilled, (state, { payload }) => {
        state.items = payload.items;
        state.failed = payload.failed ?? []; // an older replica does not say
        if (!payload.items.some((m) => m.id === state.chosen)) state.chosen = payload.items[0]?.id ?? '';
      });
  },
});

export const { modelChosen } = modelsSlice.actions;
export const modelsReducer = modelsSlice.reducer;
