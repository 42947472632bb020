import { createTheme, MantineProvider, Menu, Modal } from '@mantine/core';
import { useEffect, useMemo } from 'react';
import { Provider } from 'react-redux';
import { createBrowserRouter, Navigate, Outlet, RouterProvider } from 'react-router';
import { LoginPage } from '../features/auth/LoginPage';
import { forgetDrafts } from '../features/chat/asking/drafts';
import type { Api } from '../shared/api';
import { loggedOut, resume } from '../shared/authSlice';
import { forgotten } from '../shared/events';
import { useAppDispatch } from '../shared/hooks';
import { Broken } from './Broken';
import { ChatApp } from './ChatApp';
import { Connecting } from './Connecting';
import { useAppSelector } from './hooks';
import { NotFound } from './NotFound';
import { reloadWhenStale } from './reloadWhenStale';
import { type AppStore, makeStore } from './store';

const theme = createTheme({
  primaryColor: 'indigo',
  autoContrast: true,
  primaryShade: { light: 8, dark: 8 },
  defaultRadius: 'md',
  respectReducedMotion: true,
  components: {
    // Its placeholder is no child that a menu may have; the first item gets the focus instead.
    Menu: Menu.extend({ defaultProps: { withInitialFocusPlaceholder: false } }),
    // The page has one banner, and a dialog's header is none.
    Modal: Modal.extend({
      defaultProps: { attributes: { header: { role: 'none' } }, closeButtonProps: { 'aria-label': 'Close' } },
    }),
  },
});

/** Knows whether somebody is logged in, and shows what is theirs or the login. */
function Gate({ api }: { api: Api }) {
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
  return user ? <Outlet /> : <LoginPage />;
}

export function App({ api, store = makeStore(api) }: { api: Api; store?: AppStore }) {
  const router = useMemo(() => {
    const chat = <ChatApp api={api} />;
    return createBrowserRouter([
      {
        element: <Gate api={api} />,
        errorElement: <Broken />,
        hydrateFallbackElement: <></>,
        children: [
          { path: '/', element: chat },
          { path: '/c/:session', element: chat },
          // What was there stays until it has come.
          { path: '/settings', lazy: { Component: async () => (await import('./SettingsPage')).SettingsPage } },
          { path: '/login', element: <Navigate to="/" replace /> },
        ],
      },
      { path: '*', element: <NotFound /> },
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
