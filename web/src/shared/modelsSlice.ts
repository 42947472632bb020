import { createAsyncThunk, createSlice } from '@reduxjs/toolkit';
import { answerCounts, askedFor, askingFailed, newOrder } from './order';
import type { Model, ModelList } from './protocol';
import type { Extra } from './thunk';

const KEY = 'omnichat-model';

export const loadModels = createAsyncThunk<ModelList, void, Extra>('models/load', (_, { extra }) =>
  extra.api.patiently(() => extra.api.json<ModelList>('GET', '/models')),
);

const modelsSlice = createSlice({
  name: 'models',
  initialState: {
    order: newOrder(),
    items: [] as Model[],
    failed: [] as ModelList['failed'],
    chosen: localStorage.getItem(KEY) ?? '',
  },
  reducers: {
    /** The model of new sessions. */
    modelChosen(state, { payload }: { payload: string }) {
      state.chosen = payload;
      localStorage.setItem(KEY, payload);
    },
  },
  extraReducers: (builder) => {
    builder
      .addCase(loadModels.pending, (state, { meta }) => askedFor(state.order, meta.requestId))
      .addCase(loadModels.rejected, (state, { meta }) => askingFailed(state.order, meta.requestId))
      .addCase(loadModels.fulfilled, (state, { payload, meta }) => {
        if (!answerCounts(state.order, meta.requestId)) return;
        state.items = payload.items;
        state.failed = payload.failed ?? []; // an older replica does not say
        if (!payload.items.some((m) => m.id === state.chosen)) state.chosen = payload.items[0]?.id ?? '';
      });
  },
});

export const { modelChosen } = modelsSlice.actions;
export const modelsReducer = modelsSlice.reducer;
