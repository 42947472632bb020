import { createAsyncThunk, createSlice } from '@reduxjs/toolkit';
import { patiently } from '../../shared/patience';
import type { Model } from '../../shared/protocol';
import type { Extra } from '../../shared/thunk';

const KEY = 'omnichat-model';

export const loadModels = createAsyncThunk<Model[], void, Extra>(
  'models/load',
  async (_, { extra }) => (await patiently(() => extra.api.json<{ items: Model[] }>('GET', '/models'))).items,
);

const modelsSlice = createSlice({
  name: 'models',
  initialState: { items: [] as Model[], chosen: localStorage.getItem(KEY) ?? '' },
  reducers: {
    /** The model of new sessions. */
    modelChosen(state, { payload }: { payload: string }) {
      state.chosen = payload;
      localStorage.setItem(KEY, payload);
    },
  },
  extraReducers: (builder) => {
    builder.addCase(loadModels.fulfilled, (state, { payload }) => {
      state.items = payload;
      if (!payload.some((m) => m.id === state.chosen)) state.chosen = payload[0]?.id ?? '';
    });
  },
});

export const { modelChosen } = modelsSlice.actions;
export const modelsReducer = modelsSlice.reducer;
