import { createSlice, type PayloadAction } from '@reduxjs/toolkit';

/** Where the person is, as the page's address says. */
export interface Place {
  page: 'chats' | 'settings' | 'elsewhere';
  /** The chat that is open, or that the settings lead back to; null: a new one. */
  session: string | null;
  /** The tab of the settings. */
  tab: string;
}

const initialState: Place = { page: 'elsewhere', session: null, tab: '' };

const placeSlice = createSlice({
  name: 'place',
  initialState,
  reducers: {
    arrived(state, { payload }: PayloadAction<Place>) {
      return payload.page === 'chats' ? payload : { ...payload, session: state.session };
    },
  },
  selectors: { selectOpenSession: (place) => place.session },
});

export const { arrived } = placeSlice.actions;
export const { selectOpenSession } = placeSlice.selectors;
export const placeReducer = placeSlice.reducer;
