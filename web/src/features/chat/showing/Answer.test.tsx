import { MantineProvider } from '@mantine/core';
import { act, render, screen } from '@testing-library/react';
import { Provider } from 'react-redux';
import { MemoryRouter } from 'react-router';
import { afterEach, expect, it, vi } from 'vitest';
import { makeStore } from '../../../app/store';
import { Api } from '../../../shared/api';
import { eventsReceived } from '../../../shared/events';
import type { ServerEvent } from '../../../shared/protocol';
import { blankMessage } from '../streaming/chatState';
import { MessageRow } from './MessageRow';
import { PendingRow } from './PendingRow';

vi.mock('./markdown/Markdown', () => ({
  Markdown: ({ text }: { text: string }) => {
    if (text.includes('poison')) throw new Error('cannot be rendered');
    return <p>{text}</p>;
  },
}));
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Shows the answer that events tell of, and takes more of them. */
function show(...events: ServerEvent[]) {
  const store = makeStore(new Api(''));
  const got = (...more: ServerEvent[]) => act(() => store.dispatch(eventsReceived({ events: more, via: 'socket' })));
  got(...events);
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

const showStream = (...events: ServerEvent[]) =>
  show({ type: 'start', message_id: 'a', seq: 0, session_id: 's', parent_id: 'q', model: 'm', version: 3 }, ...events);

it('shows the source of an answer that cannot be rendered, and the rest of the page', async () => {
  vi.spyOn(console, 'error').mockImplementation(() => {});
  const got = showStream({ type: 'delta', message_id: 'a', seq: 1, text: 'some *poison*' });
  expect(await screen.findByText('some *poison*')).toBeTruthy();
  got({ type: 'finish', message_id: 'a', seq: 2, reason: 'stop', error: null, model: 'm' });
  expect(screen.getByText('some *poison*')).toBeTruthy();
  expect(screen.getByRole('button', { name: 'Copy' })).toBeTruthy();
});

const failed = { code: 'provider_rate_limit', detail: '', retry_after: 40 };

it('calls out a failure that happens, also one without a single word', async () => {
  showStream({ type: 'finish', message_id: 'a', seq: 1, reason: 'error', error: failed });
  expect(screen.getByRole('alert').textContent).toContain('The provider asks to wait a little.');
});

it('calls out no failure of a history', async () => {
  const at = new Date(Date.now() - 60_000).toISOString();
  const message = blankMessage({
    id: 'a',
    session_id: 's',
    role: 'assistant',
    status: 'error',
    error: failed,
    finished_at: at,
  });
  show({ type: 'message', message, version: 1 });
  expect(screen.getByText('Too many requests for now')).toBeTruthy();
  expect(screen.queryByRole('alert')).toBeNull();
});

it('counts down from when a question failed, however often it is rendered', () => {
  vi.useFakeTimers();
  const pending = { session: 's', content: 'Hi', parent_id: null, model: 'm', message_id: 'q', answer_id: 'a' };
  const row = (failure: typeof failed | null) => (
    <Provider store={makeStore(new Api(''))}>
      <MantineProvider>
        <MemoryRouter>
          <PendingRow pending={{ ...pending, failure }} onEdit={() => {}} />
        </MemoryRouter>
      </MantineProvider>
    </Provider>
  );
  const { rerender, unmount } = render(row(null));
  rerender(row(failed));
  expect(screen.getByRole('alert')).toBeTruthy();
  for (let i = 0; i < 5; i++) {
    act(() => vi.advanceTimersByTime(2000));
    rerender(row(failed));
  }
  expect(screen.getByRole('button', { name: 'Retry in 30 s' })).toBeTruthy();

  // One that was kept over a reload is neither called out nor made to wait.
  unmount();
  render(row(failed));
  expect(screen.queryByRole('alert')).toBeNull();
  expect(screen.getByRole('button', { name: 'Retry' })).toBeTruthy();
});

it('says what an answer waits for, until it begins', () => {
  const notice = { code: 'model_loading', detail: 'The model is being loaded.' };
  const got = showStream({ type: 'notice', message_id: 'a', session_id: 's', notice });
  expect(screen.getByRole('status').textContent).toBe('The model is being loaded.');
  got({ type: 'delta', message_id: 'a', seq: 1, text: 'Hello' });
  expect(screen.queryByText('The model is being loaded.')).toBeNull();
});

it.each([
  ['stop', 'text', '', []],
  ['stop', '', 'The model said nothing.', ['Try again']],
  ['length', 'text', 'The answer was cut off: it reached the limit of its length.', ['Continue']],
  ['content_filter', 'text', 'The answer was cut off here: the provider’s filter stopped it.', []],
  [
    'content_filter',
    '',
    'There is no answer: the provider’s filter stopped it. Put the question in other words.',
    ['Try again'],
  ],
])('says how an answer ended: %s, %j', (reason, text, note, ways) => {
  const got = showStream(...(text ? [{ type: 'delta', message_id: 'a', seq: 1, text } as const] : []));
  expect(screen.queryByRole('note')).toBeNull();
  got({ type: 'finish', message_id: 'a', seq: 2 - Number(!text), reason, error: null });
  expect(screen.queryByRole('note')?.querySelector('p')?.textContent ?? '').toBe(note);
  for (const name of ['Continue', 'Try again'])
    expect(screen.queryAllByRole('button', { name })).toHaveLength(Number(ways.includes(name as never)));
});

it('says after a reload that an answer was cut off while the model thought', () => {
  const stored = {
    ...blankMessage({ id: 'a', session_id: 's', role: 'assistant' }),
    parent_id: 'q',
    reasoning: 'hm',
    version: 3,
    finish_reason: 'length',
  };
  show({ type: 'message', version: 3, message: stored });
  expect(screen.getByRole('note').textContent).toMatch(/cut off while it was thinking.*higher limit or less thinking/);
  expect(screen.getByRole('button', { name: 'Try again' })).toBeTruthy();
});
