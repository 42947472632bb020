import { MantineProvider } from '@mantine/core';
import { act, render, screen } from '@testing-library/react';
import { Profiler } from 'react';
import { Provider } from 'react-redux';
import { MemoryRouter } from 'react-router';
import { beforeEach, expect, it, vi } from 'vitest';
import { ChatArea } from '../features/chat/ChatArea';
import { MessageRow } from '../features/chat/showing/MessageRow';
import { loadMessages } from '../features/chat/streaming/chatSlice';
import { blankMessage } from '../features/chat/streaming/chatState';
import { Sidebar } from '../features/sessions/Sidebar';
import { loadSessions } from '../features/sessions/sessionsSlice';
import { Api } from '../shared/api';
import { eventsReceived } from '../shared/events';
import type { Message, ServerEvent, Session } from '../shared/protocol';
import { makeStore } from './store';

const composed = vi.hoisted(() => vi.fn());
vi.mock('../features/chat/asking/Composer', () => ({ Composer: composed }));
const shown = vi.hoisted(() => vi.fn());
vi.mock('../features/chat/showing/markdown/Markdown', () => ({
  Markdown({ text }: { text: string }) {
    shown(text);
    return <p>As Markdown: {text}</p>;
  },
}));
const folded = vi.hoisted(() => vi.fn());
vi.mock('../features/chat/showing/Fold', () => ({ Fold: folded }));

beforeEach(() => {
  sessionStorage.clear();
  localStorage.clear();
});

const message = (id: string, parent_id: string | null, role: Message['role'] = 'user') => ({
  ...blankMessage({ id, session_id: 's', role, parent_id, content: `This is ${id}`, seq: 0 }),
  created_at: `2026-01-01T00:00:0${id.length}Z`,
});
const session = (id: string) => ({ id, title: id, updated_at: new Date().toISOString() }) as Session;

function chat(...items: Message[]) {
  const store = makeStore(new Api(''));
  store.dispatch(loadSessions.fulfilled({ items: [session('s'), session('t')], deleted: [], version: 1 }, ''));
  store.dispatch(loadMessages.fulfilled({ items, deleted: [], version: 1 }, '', 's'));
  const got = (...events: ServerEvent[]) => act(() => store.dispatch(eventsReceived({ events, via: 'socket' })));
  return { store, got };
}

it('renders one message and no more for a delta', async () => {
  const { store, got } = chat(message('q', null), message('a', 'q', 'assistant'), message('q2', 'a'));
  got({ type: 'start', message_id: 'a2', seq: 0, session_id: 's', parent_id: 'q2', model: 'm', version: 2 });
  const rendered: string[] = [];
  const note = (id: string) => rendered.push(id);
  render(
    <Provider store={store}>
      <MantineProvider>
        <MemoryRouter>
          <Profiler id="sidebar" onRender={note}>
            <Sidebar onOpen={() => {}} onNew={() => {}} />
          </Profiler>
          {['q', 'a', 'q2', 'a2'].map((id) => (
            <Profiler key={id} id={id} onRender={note}>
              <MessageRow id={id} model="m" />
            </Profiler>
          ))}
          <ChatArea session="s" model="m" settings={{}} />
        </MemoryRouter>
      </MantineProvider>
    </Provider>,
  );
  got({ type: 'delta', message_id: 'a2', seq: 1, text: 'One ' });
  for (const text of ['This is a', 'One'])
    await vi.waitFor(() => expect(screen.getAllByText(`As Markdown: ${text}`)).toHaveLength(2));
  rendered.length = 0;
  composed.mockClear();
  got({ type: 'delta', message_id: 'a2', seq: 2, text: 'two' });
  expect(screen.getAllByText('As Markdown: One two')).toHaveLength(2);
  expect(rendered).toEqual(['a2']);
  expect(composed).not.toHaveBeenCalled(); // nor the area around them
});

it('renders one part and no more for a delta', async () => {
  const { store, got } = chat(message('q', null));
  const delta = (seq: number, fields: object): ServerEvent => ({ type: 'delta', message_id: 'a', seq, ...fields });
  got({ type: 'start', message_id: 'a', seq: 0, session_id: 's', parent_id: 'q', model: 'm', version: 2 });
  for (let n = 0; n < 40; n++) {
    const call = { id: `c${n}`, tool: `tool${n}`, title: '', arguments: '{}', status: 'done' };
    got(delta(2 * n + 1, { text: `Step ${n}. ` }), delta(2 * n + 2, { text: '', call }));
  }
  got(delta(81, { text: 'One ' }));
  render(
    <Provider store={store}>
      <MantineProvider>
        <MemoryRouter>
          <MessageRow id="a" model="m" />
        </MemoryRouter>
      </MantineProvider>
    </Provider>,
  );
  await vi.waitFor(() => expect(screen.getAllByText(/^As Markdown: /)).toHaveLength(41));
  shown.mockClear();
  folded.mockClear();
  got(delta(82, { text: 'two' }));
  expect(shown.mock.calls).toEqual([['One two']]);
  expect(folded).not.toHaveBeenCalled();
});

it('says that an answer has finished, but not when another chat is gone to', () => {
  const { store, got } = chat(message('q', null));
  const at = (session: string) => (
    <Provider store={store}>
      <MantineProvider>
        <MemoryRouter>
          <ChatArea session={session} model="m" settings={{}} />
        </MemoryRouter>
      </MantineProvider>
    </Provider>
  );
  const { rerender } = render(at('s'));
  const said = () => screen.getAllByRole('status').at(-1)?.textContent; // the messages have some, too
  expect(said()).toBe('');
  got({ type: 'start', message_id: 'a', seq: 0, session_id: 's', parent_id: 'q', model: 'm', version: 2 });
  expect(said()).toBe('Generating');
  rerender(at('t'));
  expect(said()).toBe('');
  rerender(at('s'));
  expect(said()).toBe('Generating');
  const start = { message_id: 'a', session_id: 's', parent_id: 'q', model: 'm', version: 2 };
  got({ ...start, type: 'snapshot', seq: 1, text: '', reasoning: 'Hm', parts: [{ type: 'reasoning', text: 'Hm' }] });
  expect(said()).toBe('Generating'); // a snapshot neither ends nor begins anything
  got({ type: 'finish', message_id: 'a', seq: 2, reason: 'stop', error: null });
  expect(said()).toBe('Answer finished');
});
