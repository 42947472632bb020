import { createAction } from '@reduxjs/toolkit';
import type { ServerEvent } from './protocol';

/** Events as they arrived, over the WebSocket or over the answer to this tab's own question. */
export const eventsReceived = createAction<{ events: ServerEvent[]; via: 'socket' | 'sse' }>('live/eventsReceived');
/** This tab has deleted a session. */
export const sessionDeleted = createAction<string>('live/sessionDeleted');
/** The login has ended, here or in another tab: all that belongs to the user is forgotten. */
export const loggedOut = createAction('auth/loggedOut');
