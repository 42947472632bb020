import { MantineProvider } from '@mantine/core';
import { act, render, screen } from '@testing-library/react';
import { Provider } from 'react-redux';
import { MemoryRouter } from 'react-router';
import { afterEach, expect, it, vi } from 'vitest';
import { makeStore } from '../../app/store';
import { Api } from '../../shared/api';
import { eventsReceived } from '../../shared/events';
import { MessageRow } from './MessageRow';

vi.mock('./Markdown', () => ({
  Markdown: ({ text }: { text: string }) => {
    if (text.includes('poison')) throw new Error('cannot be rendered');
    return <p>{text}</p>;
  },
}));
afterEach(() => vi.restoreAllMocks());

/** One answer of a session, as the page shows it. */
function setUp(...events: Parameters<typeof eventsReceived>[0]['events']) {
  const store = makeStore(new Api(''));
  const got = (...more: typeof events) => act(() => store.dispatch(eventsReceived({ events: more, via: 'socket' })));
  got({ type: 'start', message_id: 'a', seq: 0, session_id: 's', parent_id: 'q', model: 'm', version: 3 }, ...events);
  render(
    <Provider store={store}>
      <MantineProvider>
        <MemoryRouter>
          <MessageRow id="a" model="m" />
        </MemoryRouter>
      </MantineProvider>
    </Provider>,
  );
  return got;
}

it('shows the source of an answer that cannot be rendered, and the rest of the page', async () => {
  vi.spyOn(console, 'error').mockImplementation(() => {});
  const got = setUp({ type: 'delta', message_id: 'a', seq: 1, text: 'some *poison*' });
  expect(await screen.findByText('some *poison*')).toBeTruthy();
  got({ type: 'finish', message_id: 'a', seq: 2, reason: 'stop', error: null, model: 'm' });
  expect(screen.getByText('some *poison*')).toBeTruthy();
  expect(screen.getByRole('button', { name: 'Copy' })).toBeTruthy();
});
