import { createTheme, MantineProvider, Modal } from '@mantine/core';
import { lazy, type ReactNode, Suspense, useEffect, useMemo } from 'react';
import { Provider } from 'react-redux';
import { createBrowserRouter, Navigate, RouterProvider } from 'react-router';
import { loggedOut, resume } from '../features/auth/authSlice';
import { LoginPage } from '../features/auth/LoginPage';
import { forgetDrafts } from '../features/chat/drafts';
import type { Api } from '../shared/api';
import { forgotten } from '../shared/events';
import { Broken } from './Broken';
import { ChatApp } from './ChatApp';
import { Connecting } from './Connecting';
import { useAppDispatch, useAppSelector } from './hooks';
import { reloadWhenStale } from './reloadWhenStale';
import { type AppStore, makeStore } from './store';

const theme = createTheme({
  primaryColor: 'indigo',
  autoContrast: true,
  primaryShade: { light: 8, dark: 8 },
  defaultRadius: 'md',
  respectReducedMotion: true,
  components: {
    // The page has one banner, and a dialog's header is none.
    Modal: Modal.extend({
      defaultProps: { attributes: { header: { role: 'none' } }, closeButtonProps: { 'aria-label': 'Close' } },
    }),
  },
});

const SettingsPage = lazy(() => import('./SettingsPage').then((m) => ({ default: m.SettingsPage })));

/** Knows whether somebody is logged in, and shows what is theirs or the login. */
function Gate({ api, children }: { api: Api; children: ReactNode }) {
  const dispatch = useAppDispatch();
  const { known, user } = useAppSelector((state) => state.auth);
  useEffect(() => {
    api.onLogout = () => {
      forgetDrafts();
      dispatch(loggedOut());
      dispatch(forgotten());
    };
    dispatch(resume());
  }, [api, dispatch]);
  if (!known && !user) return <Connecting />;
  return user ? children : <LoginPage />;
}

export function App({ api, store = makeStore(api) }: { api: Api; store?: AppStore }) {
  const router = useMemo(() => {
    const chat = (
      <Gate api={api}>
        <ChatApp api={api} />
      </Gate>
    );
    const settings = (
      <Gate api={api}>
        <Suspense>
          <SettingsPage />
        </Suspense>
      </Gate>
    );
    return createBrowserRouter([
      {
        errorElement: <Broken />,
        children: [
          { path: '/', element: chat },
          { path: '/c/:session', element: chat },
          { path: '/settings', element: settings },
          { path: '*', element: <Navigate to="/" replace /> },
        ],
      },
    ]);
  }, [api]);
  useEffect(() => reloadWhenStale(import.meta.url), []);
  return (
    <Provider store={store}>
      <MantineProvider theme={theme} defaultColorScheme="auto">
        {/* A transition waits for as long as tokens arrive: a click on another chat took seconds. */}
        <RouterProvider router={router} useTransitions={false} />
      </MantineProvider>
    </Provider>
  );
}
