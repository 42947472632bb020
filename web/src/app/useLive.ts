import { useEffect, useRef } from 'react';
import { useStore } from 'react-redux';
import { positionsOf } from '../features/chat/streaming/branches';
import { followed, loadMessages, notFound, wentOnline } from '../features/chat/streaming/chatSlice';
import { loadSessions } from '../features/sessions/sessionsSlice';
import type { Api } from '../shared/api';
import { eventsReceived } from '../shared/events';
import { Live } from '../shared/live';
import { useAppSelector } from './hooks';
import type { AppStore } from './store';

/** Keeps the tab's WebSocket, and asks again for what was missed. */
export function useLive(api: Api, session: string | null): void {
  const store = useStore() as AppStore;
  const live = useRef<Live>(undefined);
  useEffect(() => {
    const made = new Live(api, {
      positions: (id) => positionsOf(store.getState().chat, id),
      received: (events) => store.dispatch(eventsReceived({ events, via: 'socket' })),
      subscribed: (id, version) => store.dispatch(followed({ session: id, version })),
      missing: (id) => store.dispatch(notFound(id)),
      online: (yes) => store.dispatch(wentOnline(yes)),
    });
    live.current = made;
    return () => made.close();
  }, [api, store]);

  const loaded = useAppSelector((state) => session !== null && state.chat.versions[session] !== undefined);
  const stale = useAppSelector((state) => session !== null && state.chat.stale[session] === true);
  const behind = useAppSelector((state) => (session !== null && state.chat.behind[session]?.times) || 0);
  const listStale = useAppSelector((state) => state.sessions.stale);

  useEffect(() => {
    if (session && !loaded) store.dispatch(loadMessages(session));
  }, [session, loaded, store]);
  // Loaded first, so that the subscribe can say where the page stands; and again when something was missed.
  // biome-ignore lint/correctness/useExhaustiveDependencies: behind counts how often
  useEffect(() => {
    live.current?.follow(session && loaded ? session : undefined);
  }, [session, loaded, behind]);
  useEffect(() => {
    if (session && loaded && stale) store.dispatch(loadMessages(session));
  }, [session, loaded, stale, store]);
  useEffect(() => {
    if (listStale) store.dispatch(loadSessions());
  }, [listStale, store]);
}
