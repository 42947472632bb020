import { MantineProvider } from '@mantine/core';
import { act, fireEvent, render, screen } from '@testing-library/react';
import { Provider } from 'react-redux';
import { MemoryRouter } from 'react-router';
import { afterEach, expect, it, vi } from 'vitest';
import { makeStore } from '../../../app/store';
import { Api } from '../../../shared/api';
import { eventsReceived } from '../../../shared/events';
import type { Call, ServerEvent } from '../../../shared/protocol';
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

const call: Call = {
  id: 'c',
  tool: 'weather.now',
  title: '',
  arguments: '',
  status: 'writing',
  wait: null,
  result: null,
  error: null,
  started_at: null,
  ended_at: null,
};

it('shows thoughts, text and calls in their order, each folded', async () => {
  const delta = (seq: number, fields: object): ServerEvent => ({ type: 'delta', message_id: 'a', seq, ...fields });
  const got = showStream(
    delta(1, { reasoning: 'I need the weather.' }),
    delta(2, { text: 'Let me look.' }),
    delta(3, { text: '', call }),
    delta(4, { text: '', call_id: 'c', arguments: '{"city":"Os' }),
  );
  await screen.findByText('Let me look.');
  const button = screen.getByRole('button', { name: 'Wants to call weather.now' });
  expect(button.getAttribute('aria-expanded')).toBe('false');
  fireEvent.click(button);
  expect(screen.getByText(/"city": "Os$/)).toBeTruthy();
  const args = '{"city":"Oslo"}';
  got(delta(5, { text: '', call: { ...call, arguments: args, status: 'running' } }));
  expect(screen.getByRole('button', { name: 'Calling weather.now' }).getAttribute('aria-expanded')).toBe('true');
  const result = { text: '12 degrees', bytes: 9999, cut: true, attachments: [] };
  got(delta(6, { text: '', call: { ...call, arguments: args, status: 'done', result } }));
  expect(screen.getByText('12 degrees')).toBeTruthy();
  expect(screen.getByText('The model reads a part of it. The whole is 10 KiB.')).toBeTruthy();
  const error = { code: 'tool_failed', detail: 'No such city.' };
  const failing: Call = { ...call, id: 'd', title: 'The weather', status: 'failed', error };
  got(
    delta(7, { reasoning: 'Once more.' }),
    delta(8, { text: '', call: failing }),
    delta(9, { text: '', notice: { code: 'continued', detail: '' } }),
    delta(10, { text: 'It is 12 degrees.' }),
  );
  fireEvent.click(screen.getByRole('button', { name: 'Called The weather · failed' }));
  expect(screen.getByText('No such city.')).toBeTruthy();
  got({ type: 'finish', message_id: 'a', seq: 11, reason: 'stop', error: null });
  expect(screen.queryByRole('note')).toBeNull();
  const row = screen.getByRole('article', { name: 'Assistant' }).textContent;
  const order = [
    'Thought',
    'Let me look.',
    'Called weather.now',
    'Oslo',
    'Thought',
    'The weather',
    'It is 12',
    'went on',
  ];
  let at = -1;
  for (const words of order) {
    const next = row?.indexOf(words, at + 1) ?? -1;
    expect(next, words).toBeGreaterThan(at);
    at = next;
  }
});

it('keeps what a person has opened when text turns out to be thoughts', async () => {
  const start = { message_id: 'a', session_id: 's', parent_id: 'q', model: 'm', version: 3 };
  const got = showStream(
    { type: 'delta', message_id: 'a', seq: 1, reasoning: 'First.' },
    { type: 'delta', message_id: 'a', seq: 2, text: 'Second.' },
  );
  fireEvent.click(await screen.findByRole('button', { name: /^Thought/ }));
  got({
    ...start,
    type: 'snapshot',
    seq: 3,
    text: 'Third.',
    reasoning: 'First.Second.',
    parts: [
      { type: 'reasoning', text: 'First.Second.', ms: 2000 },
      { type: 'text', text: 'Third.' },
    ],
  });
  expect(screen.getByText('First.Second.')).toBeTruthy();
  expect(screen.getByText('Third.')).toBeTruthy();
  expect(screen.getByRole('button', { name: 'Thought for 2 s' })).toBeTruthy();
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
