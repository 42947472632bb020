import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { draftText, keepDraft } from '../features/chat/asking/drafts';
import { ownReadEnded, questionAsked, sessionNotFound } from '../features/chat/streaming/chatSlice';
import { blankMessage } from '../features/chat/streaming/chatState';
import { deletePrice } from '../features/settings/settingsSlice';
import { Api, ApiError } from '../shared/api';
import { resume } from '../shared/authSlice';
import { eventsReceived, loggedOut, sessionDeleted } from '../shared/events';
import type { LiveState } from '../shared/live';
import { modelChosen } from '../shared/modelsSlice';
import { arrived, type Place } from '../shared/placeSlice';
import type { Message, ServerEvent, Session, User } from '../shared/protocol';
import { makeStore } from './store';

beforeEach(() => {
  vi.useFakeTimers();
  sessionStorage.clear();
  localStorage.clear();
});
afterEach(() => {
  vi.useRealTimers();
});

const settle = () => vi.advanceTimersByTimeAsync(0);
const message = (id: string, fields: Partial<Message> = {}): Message => ({
  ...blankMessage({ id, session_id: 's', role: 'user', seq: 0, version: 1 }),
  ...fields,
});
const streaming = message('a', { role: 'assistant', status: 'streaming', parent_id: 'q', seq: 1 });
const session = { id: 's', title: 'Sums', version: 1, updated_at: '2026-01-01T00:00:00Z' } as Session;
const start = { type: 'start', seq: 0, session_id: 's', parent_id: 'q', model: 'm', version: 3 } as const;

/** A page whose server, address and socket are the test's. */
function page(role = 'user') {
  const api = new Api('');
  const answers: Record<string, unknown> = {
    '/sessions': { items: [session], deleted: [], version: 5 },
    '/sessions/s/messages': { items: [message('q'), streaming], deleted: [], version: 2 },
    '/limits': { file_bytes: 1 },
  };
  const json = vi.spyOn(api, 'json').mockImplementation(async (_, path) => {
    return (answers[path.split('?')[0]] ?? { items: [], deleted: [], version: 1 }) as never;
  });
  const socket = { follow: vi.fn(), catchUp: vi.fn(), close: vi.fn() };
  let live: LiveState | undefined;
  const connect = vi.fn((state: LiveState) => {
    live = state;
    return socket;
  });
  const navigate = vi.fn((to: string) => {
    at({ session: to === '/' ? null : to.slice('/c/'.length) });
  });
  const store = makeStore(api, { navigate, connect });
  const at = (place: Partial<Place>) => store.dispatch(arrived({ page: 'chats', session: null, tab: '', ...place }));
  return {
    ...{ api, json, connect, socket, navigate, store, at },
    dispatch: store.dispatch,
    logIn: () => store.dispatch(resume.fulfilled({ id: 'u', role } as User, '')),
    got: (...events: ServerEvent[]) => live?.received(events),
    get live() {
      return live as LiveState;
    },
    /** The calls so far, which are then forgotten. */
    asked() {
      const calls = json.mock.calls.map(([method, path]) => `${method} ${path}`);
      json.mockClear();
      return calls;
    },
  };
}

/** A page that shows the chat s, in which an answer is streaming. */
async function chat() {
  const p = page();
  p.logIn();
  p.at({ session: 's' });
  await settle();
  p.asked();
  return p;
}

describe('loads', () => {
  it('what is shown, once somebody is logged in', async () => {
    const p = page();
    p.at({ session: 's' });
    expect(p.asked()).toEqual([]);
    expect(p.connect).not.toHaveBeenCalled();
    p.logIn();
    expect(p.asked().sort()).toEqual([
      'GET /limits',
      'GET /models',
      'GET /sessions/s/messages',
      'GET /sessions?after_version=0',
    ]);
    await settle();
    p.at({ session: 't' });
    expect(p.asked()).toEqual(['GET /sessions/t/messages']);
    await settle();
    p.at({ session: 's' });
    expect(p.asked()).toEqual([]);
  });

  it.each([
    ['defaults', ['GET /models', 'GET /users/me/settings', 'GET /warnings']],
    ['providers', ['GET /models', 'GET /providers', 'GET /warnings']],
    ['prices', ['GET /models', 'GET /prices', 'GET /warnings']],
    ['usage', ['GET /limits', 'GET /models', 'GET /warnings']],
  ])('the settings, %s', (tab, calls) => {
    const p = page('admin');
    p.at({ page: 'settings', tab });
    p.logIn();
    expect(p.asked().sort()).toEqual(calls);
    p.at({ page: 'settings', tab: 'prices' });
    expect(p.asked()).toEqual(tab === 'prices' ? [] : ['GET /prices']);
  });

  it('the models again when a price has changed, also if another has changed it first', async () => {
    const p = page();
    await p.dispatch(deletePrice('m'));
    expect(p.asked()).toContain('GET /models');
    p.json.mockRejectedValueOnce(new ApiError(404, 'not_found', 'There is none.'));
    await p.dispatch(deletePrice('m'));
    expect(p.asked()).toContain('GET /models');
  });

  it('what changed in the open chat, when a change was missed', async () => {
    const p = await chat();
    p.got({ type: 'message', version: 3, message: message('b') });
    expect(p.asked()).toEqual([]);
    p.got({ type: 'message', version: 5, message: message('c') });
    expect(p.asked()).toEqual(['GET /sessions/s/messages?after_version=3']);
    p.got({ type: 'version', session_id: 's', version: 3 }, { type: 'version', session_id: 't', version: 9 });
    p.live.subscribed('s', 3);
    expect(p.asked()).toEqual([]);
    p.live.subscribed('s', 4);
    expect(p.asked()).toEqual(['GET /sessions/s/messages?after_version=3']);
  });

  it('how much room is left, when the list of chats has been quiet for a while', async () => {
    const p = await chat();
    await vi.advanceTimersByTimeAsync(10_000);
    p.asked();
    const changed = (version: number) => p.got({ type: 'session', user_version: version, session });
    changed(6);
    await vi.advanceTimersByTimeAsync(4000);
    changed(7);
    await vi.advanceTimersByTimeAsync(4000);
    expect(p.asked()).toEqual([]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(p.asked()).toEqual(['GET /limits']);
    changed(8);
    p.dispatch(loggedOut());
    await vi.advanceTimersByTimeAsync(10_000);
    expect(p.asked()).toEqual([]);
  });
});

describe('the socket', () => {
  it('lives while chats are shown', async () => {
    const p = await chat();
    expect(p.connect).toHaveBeenCalledOnce();
    p.at({ page: 'settings' });
    expect(p.socket.close).toHaveBeenCalledOnce();
    p.at({ session: 's' });
    expect(p.connect).toHaveBeenCalledTimes(2);
    p.dispatch(loggedOut());
    expect(p.socket.close).toHaveBeenCalledTimes(2);
  });

  it('follows the open chat once it is loaded, from where the page stands', async () => {
    const p = page();
    p.logIn();
    p.at({ session: 's' });
    expect(p.socket.follow).not.toHaveBeenCalledWith('s');
    await settle();
    expect(p.socket.follow).toHaveBeenLastCalledWith('s');
    expect(p.live.positions('s')).toEqual({ a: 1 });
    p.at({});
    expect(p.socket.follow).toHaveBeenLastCalledWith(undefined);
  });

  it('asks again when tokens of the open chat were missed', async () => {
    const p = await chat();
    p.got({ type: 'delta', message_id: 'a', seq: 2, text: 'two ' });
    expect(p.socket.catchUp).not.toHaveBeenCalled();
    p.got({ type: 'delta', message_id: 'a', seq: 4, text: 'four ' });
    expect(p.socket.catchUp).toHaveBeenCalledOnce();
    p.at({});
    p.got({ type: 'delta', message_id: 'a', seq: 5, text: 'five ' });
    expect(p.socket.catchUp).toHaveBeenCalledOnce();
  });

  it('takes up an answer that this tab has stopped to read itself, unless it has ended', async () => {
    const p = await chat();
    p.socket.follow.mockClear();
    p.dispatch(ownReadEnded('a'));
    expect(p.socket.follow).toHaveBeenCalledExactlyOnceWith('s');
    p.got({ type: 'finish', message_id: 'a', seq: 2, reason: 'stop', error: null });
    p.dispatch(ownReadEnded('a'));
    expect(p.socket.follow).toHaveBeenCalledOnce();
  });
});

describe('a new chat', () => {
  const question = { session: null, content: 'hi', parent_id: null, model: 'm', message_id: 'q', failure: null };
  const begin = (p: ReturnType<typeof page>) =>
    p.dispatch(eventsReceived({ events: [{ ...start, message_id: 'a' }], via: 'sse' }));

  it('leads to the session that it has become, with what is being written', async () => {
    const p = page();
    p.logIn();
    p.at({});
    p.dispatch(questionAsked({ ...question, answer_id: 'a' }));
    keepDraft(null, 'And the next');
    begin(p);
    expect(p.navigate).toHaveBeenCalledExactlyOnceWith('/c/s');
    expect(draftText('s')).toBe('And the next');
    p.at({});
    expect(p.navigate).toHaveBeenCalledOnce();
  });

  it('leads there on the way back from the settings', () => {
    const p = page();
    p.logIn();
    p.at({});
    p.dispatch(questionAsked({ ...question, answer_id: 'a' }));
    p.at({ page: 'settings' });
    begin(p);
    expect(p.navigate).not.toHaveBeenCalled();
    p.at({});
    expect(p.navigate).toHaveBeenCalledExactlyOnceWith('/c/s');
  });

  it('calls nobody back who has gone to another', () => {
    const p = page();
    p.logIn();
    p.at({});
    p.dispatch(questionAsked({ ...question, answer_id: 'a' }));
    p.at({ session: 't' });
    begin(p);
    p.at({});
    expect(p.navigate).not.toHaveBeenCalled();
  });
});

describe('a chat that is deleted while it is open', () => {
  const gone: [string, (p: ReturnType<typeof page>) => unknown][] = [
    ['while it is followed', (p) => p.got({ type: 'session_deleted', user_version: 6, session_id: 's' })],
    ['while this tab was offline', (p) => p.dispatch(sessionNotFound('s'))],
  ];
  it.each(gone)('elsewhere, %s: makes place for a new one, which has what was being written', async (_, go) => {
    const p = await chat();
    keepDraft('s', 'Not lost');
    go(p);
    expect(p.navigate).toHaveBeenCalledExactlyOnceWith('/', { replace: true, state: { quiet: true } });
    expect(p.store.getState().notice.last?.what).toBe('“Sums” was deleted');
    expect(draftText(null)).toBe('Not lost');
  });

  it('here: needs no notice', async () => {
    const p = await chat();
    p.dispatch({ type: 'sessions/delete/pending', meta: { arg: 's' } });
    p.dispatch(sessionDeleted('s'));
    expect(p.navigate).toHaveBeenCalledOnce();
    expect(p.store.getState().notice.last).toBeNull();
  });

  it('is not there from the start: nobody is led away', async () => {
    const p = page();
    p.logIn();
    p.json.mockRejectedValue(new ApiError(404, 'not_found', 'There is none.'));
    p.at({ session: 'x' });
    await settle();
    expect(p.store.getState().chat.missing.x).toBe(true);
    expect(p.navigate).not.toHaveBeenCalled();
  });
});

it('keeps for a reload what was chosen and asked, and forgets drafts at the end of a login', async () => {
  const p = await chat();
  p.dispatch(modelChosen('x/y'));
  expect(localStorage.getItem('omnichat-model')).toBe('x/y');
  const ids = { message_id: 'q2', answer_id: 'a2', failure: null };
  p.dispatch(questionAsked({ session: 's', content: 'hi', parent_id: 'a', model: 'm', ...ids }));
  expect(sessionStorage.getItem('omnichat-pending')).toContain('"content":"hi"');
  keepDraft('s', 'private');
  p.api.onLogout();
  expect(p.store.getState()).toMatchObject({ auth: { user: null }, chat: { pending: [] } });
  expect(draftText('s')).toBe('');
  expect(sessionStorage.getItem('omnichat-pending')).toBeNull();
});
