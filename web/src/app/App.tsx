import { createTheme, MantineProvider } from '@mantine/core';
import { useEffect, useMemo } from 'react';
import { Provider } from 'react-redux';
import { createBrowserRouter, Navigate, RouterProvider } from 'react-router';
import { loggedOut, resume } from '../features/auth/authSlice';
import { LoginPage } from '../features/auth/LoginPage';
import type { Api } from '../shared/api';
import { forgotten } from '../shared/events';
import { ChatApp } from './ChatApp';
import { useAppDispatch, useAppSelector } from './hooks';
import { type AppStore, makeStore } from './store';

const theme = createTheme({
  primaryColor: 'indigo',
  autoContrast: true,
  primaryShade: { light: 8, dark: 8 },
  defaultRadius: 'md',
});

/** Knows whether somebody is logged in, and shows the chat or the login. */
function Gate({ api }: { api: Api }) {
  const dispatch = useAppDispatch();
  const { known, user } = useAppSelector((state) => state.auth);
  useEffect(() => {
    api.onLogout = () => {
      dispatch(loggedOut());
      dispatch(forgotten());
    };
    dispatch(resume());
  }, [api, dispatch]);
  if (!known && !user) return null;
  return user ? <ChatApp api={api} /> : <LoginPage />;
}

export function App({ api, store = makeStore(api) }: { api: Api; store?: AppStore }) {
  const router = useMemo(() => {
    const gate = <Gate api={api} />;
    return createBrowserRouter([
      { path: '/', element: gate },
      { path: '/c/:session', element: gate },
      { path: '*', element: <Navigate to="/" replace /> },
    ]);
  }, [api]);
  return (
    <Provider store={store}>
      <MantineProvider theme={theme} defaultColorScheme="auto">
        <RouterProvider router={router} />
      </MantineProvider>
    </Provider>
  );
}
