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
    // Its placeholder is no child that a menu may have; the first item gets the focus instead.
    Menu: Menu.extend({ defaultProps: { withInitialFocusPlaceholder: false } }),
    // The page has one banner, and a dialog's header is none.
    Modal: Modal.extend({
      defaultProps: { attributes: { header: { role: 'none' } }, closeButtonProps: { 'aria-label': 'Close' } },
    }),
  },
});

/** Puts the page's parts together: its addresses, its state, and what the one hears of the other. */
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
