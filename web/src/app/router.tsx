import { createBrowserRouter, Navigate, Outlet } from 'react-router';
import { LoginPage } from '../features/auth/LoginPage';
import type { Place } from '../shared/placeSlice';
import { Broken } from './Broken';
import { ChatApp } from './ChatApp';
import { Connecting } from './Connecting';
import { useAppSelector } from './hooks';
import { NotFound } from './NotFound';
import { settingsTab } from './settingsTabs';

/** Shows the pages to those who are logged in, and the login to others. */
function Gate() {
  const { known, user } = useAppSelector((state) => state.auth);
  if (!known && !user) return <Connecting />;
  return user ? <Outlet /> : <LoginPage />;
}

const CHAT = '/c/:session';
const SETTINGS = '/settings';

export type Router = ReturnType<typeof makeRouter>;

export function makeRouter() {
  return createBrowserRouter([
    {
      element: <Gate />,
      errorElement: <Broken />,
      hydrateFallbackElement: <></>,
      children: [
        { path: '/', element: <ChatApp /> },
        { path: CHAT, element: <ChatApp /> },
        // The page before stays until this one's script has loaded.
        { path: SETTINGS, lazy: { Component: async () => (await import('./SettingsPage')).SettingsPage } },
        { path: '/login', element: <Navigate to="/" replace /> },
      ],
    },
    { path: '*', element: <NotFound /> },
  ]);
}

/** The place that the address names. */
function placeOf({ location, matches }: Router['state']): Place {
  const match = matches.at(-1);
  const path = match?.route.path;
  if (path === '/' || path === CHAT) return { page: 'chats', session: match?.params.session ?? null, tab: '' };
  const page = path === SETTINGS ? 'settings' : 'elsewhere';
  return { page, session: null, tab: settingsTab(new URLSearchParams(location.search)) };
}

/** Calls arrived with the present place, and with each that follows. */
export function watchPlace(router: Router, arrived: (place: Place) => void): void {
  let at: Router['state']['location'] | undefined;
  const look = (state: Router['state']) => {
    if (state.location === at || !state.initialized) return;
    at = state.location;
    arrived(placeOf(state));
  };
  router.subscribe(look);
  look(router.state);
}
