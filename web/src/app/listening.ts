import { isAnyOf, isFulfilled, isRejected, type TypedStartListening } from '@reduxjs/toolkit';
import { draftText, forgetDrafts, keepDraft, moveDraft } from '../features/chat/asking/drafts';
import { filesMoved, keepFiles } from '../features/chat/asking/files/filesSlice';
import { forgetBlobs } from '../features/chat/asking/files/keptBlobs';
import { positionsOf } from '../features/chat/streaming/branches';
import {
  loadMessages,
  onlineChanged,
  openedLeft,
  ownReadEnded,
  selectMessage,
  sessionFollowed,
  sessionNotFound,
} from '../features/chat/streaming/chatSlice';
import { keepChoices } from '../features/chat/streaming/chatState';
import { missesChange, missesTokens } from '../features/chat/streaming/missed';
import { keepPending } from '../features/chat/streaming/pendingQuestion';
import {
  loadSessions,
  newChatSettingsChanged,
  selectMissesSessions,
  selectSession,
} from '../features/sessions/sessionsSlice';
import {
  deleteEndpoint,
  deletePrice,
  loadEndpoints,
  loadPrices,
  loadSettings,
  loadWarnings,
  putEndpoint,
  putPrice,
} from '../features/settings/settingsSlice';
import { eventsReceived, loggedOut } from '../shared/events';
import { loadLimits } from '../shared/limitsSlice';
import type { Live, LiveState } from '../shared/live';
import { answerDropped } from '../shared/loads';
import { keepModel, loadModels, modelChosen } from '../shared/modelsSlice';
import { noticed } from '../shared/noticeSlice';
import { arrived, selectOpenSession } from '../shared/placeSlice';
import type { AppDispatch, RootState } from './store';

/** What the page acts on beside its store. */
export interface Outside {
  /** Goes to another address of the page. */
  navigate(to: string, how?: { replace: boolean; state: unknown }): void;
  /** Opens the tab's WebSocket. */
  connect(state: LiveState): Pick<Live, 'follow' | 'catchUp' | 'close'>;
}

type Start = TypedStartListening<RootState, AppDispatch>;

/** How long the list of chats is quiet before the server is asked anew how much room is left. */
const LOOK_AFTER_MS = 5000;

/** The place for which what is shown there has to be loaded; nothing before a login. */
const shown = (state: RootState) => (state.auth.user ? state.place.page : undefined);
const shownTab = (state: RootState) => (shown(state) === 'settings' ? state.place.tab : undefined);

/** The open chat, if its messages are, or are not, loaded; undefined if it is not there. */
function openChat(state: RootState, loaded: boolean): string | undefined {
  const session = shown(state) === 'chats' ? selectOpenSession(state) : null;
  if (session === null || state.chat.missing[session]) return;
  return (state.chat.versions[session] !== undefined) === loaded ? session : undefined;
}

const chatToLoad = (state: RootState) => openChat(state, false);
/** Only once it is loaded can the server be told from where the page is to follow it. */
const chatToFollow = (state: RootState) => openChat(state, true);

/** For a listener: that a value is another one after an action than before it. */
const changed =
  (select: (state: RootState) => unknown) =>
  (_: unknown, now: RootState, before: RootState): boolean =>
    select(now) !== select(before);

/**
 * All that the page does because something has happened: each listener names what it waits for, and acts. A component
 * only shows what the store holds and dispatches what a person does.
 */
export function listen(start: Start, outside: Outside): void {
  keep(start);
  follow(start, outside);
  load(start);
  lead(start, outside);
}

/** Keeps in the browser what a reload must not lose, and forgets it when the login ends. */
function keep(start: Start): void {
  start({
    predicate: changed((state) => state.chat.pending),
    effect: (_, { getState }) => keepPending(getState().chat.pending),
  });
  start({
    predicate: changed((state) => state.chat.choices),
    effect: (_, { getState, getOriginalState }) =>
      keepChoices(getState().chat.choices, getOriginalState().chat.choices),
  });
  start({
    predicate: changed((state) => state.files.drafts),
    effect: (_, { getState }) => keepFiles(getState().files.drafts),
  });
  start({ actionCreator: modelChosen, effect: ({ payload }) => keepModel(payload) });
  start({
    actionCreator: loggedOut,
    effect: () => {
      forgetDrafts();
      forgetBlobs();
    },
  });
}

/** Loads what is shown, what has changed since, and what was missed. */
function load(start: Start): void {
  start({
    predicate: changed(chatToLoad),
    effect: (_, { getState, dispatch }) => {
      const session = chatToLoad(getState());
      if (session) dispatch(loadMessages(session));
    },
  });
  start({
    predicate: changed(shown),
    effect: (_, { getState, dispatch }) => {
      const page = shown(getState());
      if (page === 'chats') {
        dispatch(loadSessions());
        dispatch(loadModels());
        dispatch(loadLimits());
      }
      if (page === 'settings') {
        dispatch(loadModels());
        if (getState().auth.user?.role === 'admin') dispatch(loadWarnings());
      }
    },
  });
  start({
    predicate: changed(shownTab),
    effect: (_, { getState, dispatch }) => {
      const tab = shownTab(getState());
      if (tab === 'defaults') dispatch(loadSettings());
      if (tab === 'providers') dispatch(loadEndpoints());
      if (tab === 'prices') dispatch(loadPrices());
      if (tab === 'usage') dispatch(loadLimits());
    },
  });
  start({
    matcher: isAnyOf(
      isFulfilled(putEndpoint, putPrice, deleteEndpoint, deletePrice),
      isRejected(deleteEndpoint, deletePrice),
    ),
    effect: (_, { dispatch }) => {
      dispatch(loadModels());
    },
  });
  start({
    predicate: changed((state) => state.sessions.version),
    effect: async (_, { getState, dispatch, cancelActiveListeners, delay }) => {
      cancelActiveListeners(); // the version rises with each question, and with what is deleted
      if (!getState().limits.known) return;
      await delay(LOOK_AFTER_MS);
      dispatch(loadLimits());
    },
  });
  start({
    predicate: (_, state) => selectMissesSessions(state),
    effect: (_, { dispatch }) => {
      dispatch(loadSessions());
    },
  });
  start({
    predicate: (action, state) => {
      const session = selectOpenSession(state);
      const has = session === null ? undefined : state.chat.versions[session];
      if (session === null || has === undefined) return false;
      if (eventsReceived.match(action)) return missesChange(state.chat, action.payload, session);
      if (sessionFollowed.match(action)) return action.payload.session === session && action.payload.version > has;
      if (!answerDropped.match(action)) return false;
      const { load, arg, version = 0 } = action.payload;
      return load === loadMessages.typePrefix && arg === session && version > has;
    },
    effect: (_, { getState, dispatch }) => {
      const session = selectOpenSession(getState());
      if (session) dispatch(loadMessages(session));
    },
  });
}

/** Leads to a new chat when it has become a session, and away from a chat that is deleted while it is open. */
function lead(start: Start, { navigate }: Outside): void {
  start({
    predicate: (_, state, before) => state.chat.opened !== null && state.chat.opened !== before.chat.opened,
    effect: (_, { getState, dispatch }) => {
      const opened = getState().chat.opened;
      dispatch(newChatSettingsChanged({})); // the session has what was set for it
      if (!opened) return;
      if (selectOpenSession(getState()) !== null) {
        dispatch(openedLeft()); // the person has gone elsewhere
        return;
      }
      moveDraft(opened);
      dispatch(filesMoved(opened));
      if (getState().place.page === 'chats') navigate(`/c/${opened}`);
    },
  });
  start({
    actionCreator: arrived,
    effect: ({ payload: { page, session } }, { getState, getOriginalState, dispatch }) => {
      const opened = getState().chat.opened;
      if (page !== 'chats' || !opened || session === opened) return;
      const left = selectOpenSession(getOriginalState()) === opened;
      if (session === null && !left) navigate(`/c/${opened}`);
      else dispatch(openedLeft());
    },
  });

  let title = '';
  start({
    predicate: changed((state) => selectSession(state, selectOpenSession(state))),
    effect: (_, { getState }) => {
      const session = selectSession(getState(), selectOpenSession(getState()));
      if (session) title = session.title || 'New chat';
    },
  });
  start({
    predicate: (_, state, before) => {
      const session = selectOpenSession(state);
      if (session === null || state.place.page !== 'chats') return false;
      return state.chat.missing[session] === true && before.chat.versions[session] !== undefined;
    },
    effect: (_, { getState, dispatch }) => {
      const session = selectOpenSession(getState());
      if (session === null) return;
      if (!getState().sessions.deleting[session]) {
        if (!draftText(null)) keepDraft(null, draftText(session)); // what was being written is not lost
        dispatch(noticed({ what: `“${title}” was deleted`, why: 'In another tab, or on another device.' }));
      }
      navigate('/', { replace: true, state: { quiet: true } });
    },
  });
}

/** Keeps the tab's WebSocket while chats are shown, and follows the open one from where the page stands. */
function follow(start: Start, { connect }: Outside): void {
  let live: ReturnType<Outside['connect']> | undefined;
  start({
    predicate: changed((state) => shown(state) === 'chats'),
    effect: (_, { getState, dispatch }) => {
      live?.close();
      live = undefined;
      if (shown(getState()) !== 'chats') return;
      live = connect({
        positions: (session) => positionsOf(getState().chat, session),
        received: (events) => dispatch(eventsReceived({ events, via: 'socket' })),
        subscribed: (session, version) => dispatch(sessionFollowed({ session, version })),
        missing: (session) => dispatch(sessionNotFound(session)),
        online: (yes) => dispatch(onlineChanged(yes)),
      });
    },
  });
  start({
    predicate: changed(chatToFollow),
    effect: (_, { getState }) => live?.follow(chatToFollow(getState())),
  });
  start({
    predicate: (action, state) => {
      const session = chatToFollow(state);
      return session !== undefined && eventsReceived.match(action) && missesTokens(state.chat, action.payload, session);
    },
    effect: () => live?.catchUp(),
  });
  // An answer that this tab no longer reads itself goes on over the socket.
  start({
    actionCreator: ownReadEnded,
    effect: ({ payload }, { getState }) => {
      const session = chatToFollow(getState());
      const answer = selectMessage(getState(), payload);
      if (session && answer?.session_id === session && answer.status === 'streaming') live?.follow(session);
    },
  });
}
