import { MantineProvider } from '@mantine/core';
import { act, render, screen } from '@testing-library/react';
import { Provider } from 'react-redux';
import { MemoryRouter } from 'react-router';
import { expect, it } from 'vitest';
import { makeStore } from '../../../app/store';
import { Api } from '../../../shared/api';
import { eventsReceived } from '../../../shared/events';
import { MessageRow } from './MessageRow';

it('shows an answer grow, fail, and what can be done', async () => {
  const store = makeStore(new Api(''));
  const got = (...events: Parameters<typeof eventsReceived>[0]['events']) =>
    act(() => store.dispatch(eventsReceived({ events, via: 'socket' })));
  got({ type: 'start', message_id: 'a', seq: 0, session_id: 's', parent_id: 'q', model: 'm', version: 3 });
  render(
    <Provider store={store}>
      <MantineProvider>
        <MemoryRouter>
          <MessageRow id="a" model="m" />
        </MemoryRouter>
      </MantineProvider>
    </Provider>,
  );
  const row = screen.getByRole('article', { name: 'Assistant' });
  expect(row.getAttribute('aria-busy')).toBe('true');
  got({ type: 'delta', message_id: 'a', seq: 1, text: 'Some words' });
  expect(await screen.findByText('Some words')).toBeTruthy();
  got({
    type: 'finish',
    message_id: 'a',
    seq: 2,
    reason: 'error',
    error: { code: 'provider_auth', detail: 'The key is wrong.' },
    model: 'other',
  });
  expect(screen.getByRole('alert').textContent).toContain('The API key is missing, wrong or has ended.');
  for (const name of ['Continue', 'Retry', 'Switch model', 'Open settings'])
    expect(screen.getByRole('button', { name })).toBeTruthy();
  expect(screen.getByText('other')).toBeTruthy();
  expect(row.getAttribute('aria-busy')).toBe('false');
});
