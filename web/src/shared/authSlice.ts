import { createAsyncThunk, createSlice } from '@reduxjs/toolkit';
import type { Extra } from './callThunk';
import { loggedOut } from './events';
import { patiently } from './patiently';
import type { User } from './protocol';

/** Takes up the login that the browser keeps, if there is one. */
export const resume = createAsyncThunk<User | null, void, Extra>('auth/resume', (_, { extra }) =>
  patiently(async () => ((await extra.api.refresh()) ? extra.api.json<User>('GET', '/users/me') : null)),
);

export const logIn = createAsyncThunk<User, { username: string; password: string; register: boolean }, Extra>(
  'auth/logIn',
  async ({ username, password, register }, { extra }) => {
    if (register) await extra.api.register(username, password);
    await extra.api.logIn(username, password);
    return extra.api.json<User>('GET', '/users/me');
  },
);

export const logOut = createAsyncThunk<void, void, Extra>('auth/logOut', (_, { extra }) =>
  patiently(() => extra.api.logOut()),
);

const authSlice = createSlice({
  name: 'auth',
  initialState: { known: false, busy: false, user: null as User | null, error: '' },
  reducers: {},
  extraReducers: (builder) => {
    builder
      .addCase(loggedOut, (state) => {
        state.user = null;
      })
      .addCase(resume.fulfilled, (state, { payload }) => {
        state.known = true;
        state.user = payload;
      })
      .addCase(resume.rejected, (state) => {
        state.known = true;
      })
      .addCase(logIn.pending, (state) => {
        state.busy = true;
        state.error = '';
      })
      .addCase(logIn.fulfilled, (state, { payload }) => {
        state.busy = false;
        state.user = payload;
      })
      .addCase(logIn.rejected, (state, { error }) => {
        state.busy = false;
        state.error = error.message ?? 'That did not work.';
      });
  },
});

export const authReducer = authSlice.reducer;
