import { createTheme, MantineProvider, Menu, Modal } from '@mantine/core';
import { useEffect } from 'react';
import { Provider } from 'react-redux';
import { RouterProvider } from 'react-router';
import type { Api } from '../shared/api';
import { resume } from '../shared/authSlice';
import { Live } from '../shared/live';
import { arrived } from '../shared/placeSlice';
import { reloadWhenStale } from './reloadWhenStale';
import { makeRouter, type Router, watchPlace } from './router';
import { type AppStore, makeStore } from './store';

const theme = createTheme({
  primaryColor: 'indigo',
  autoContrast: true,
  primaryShade: { light: 8, dark: 8 },
  defaultRadius: 'md',
  respectReducedMotion: true,
  components: {
    // A menu may only have items as children, and Mantine's focus placeholder is none; the first item gets the focus.
    Menu: Menu.extend({ defaultProps: { withInitialFocusPlaceholder: false } }),
    // The page has one banner landmark; a dialog's header must not be another.
    Modal: Modal.extend({
      defaultProps: { attributes: { header: { role: 'none' } }, closeButtonProps: { 'aria-label': 'Close' } },
    }),
  },
});

/** Creates the router and the store, connects them, and takes up the login that the browser keeps. */
export function makeApp(api: Api) {
  const router = makeRouter();
  const store = makeStore(api, {
    navigate: (to, how) => router.navigate(to, how),
    connect: (state) => new Live(api, state),
  });
  watchPlace(router, (place) => store.dispatch(arrived(place)));
  store.dispatch(resume());
  return <App store={store} router={router} />;
}

function App({ store, router }: { store: AppStore; router: Router }) {
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
