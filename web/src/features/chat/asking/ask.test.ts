import { configureStore } from '@reduxjs/toolkit';
import { afterEach, expect, it, vi } from 'vitest';
import { Api } from '../../../shared/api';
import { chatReducer } from '../streaming/chatSlice';
import { ask, retryPending } from './ask';

afterEach(() => {
  vi.unstubAllGlobals();
});

const json = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status });
const sse = (...events: object[]) =>
  new Response(events.map((e) => `data: ${JSON.stringify(e)}\n\n`).join(''), {
    headers: { 'Content-Type': 'text/event-stream' },
  });

function serve(handle: (method: string, path: string, init: RequestInit) => Response | Promise<Response>) {
  const calls: string[] = [];
  vi.stubGlobal('fetch', async (url: string, init: RequestInit = {}) => {
    const method = init.method ?? 'GET';
    calls.push(`${method} ${url}`);
    if (url === '/token') return json({ access_token: 't', expires_in: 900 });
    return handle(method, url, init);
  });
  return calls;
}

function page() {
  const api = new Api('');
  const store = configureStore({
    reducer: { chat: chatReducer },
    middleware: (d) => d({ thunk: { extraArgument: { api } }, serializableCheck: false }),
  });
  return store;
}

const fields = { session_id: 's', parent_id: 'q', model: 'm', version: 3 };

it('takes up a broken answer where it broke', async () => {
  let id = '';
  const calls = serve((method, _path, init) => {
    if (method === 'POST') {
      id = JSON.parse(String(init.body)).answer_id;
      return sse(
        { type: 'start', message_id: id, seq: 0, ...fields },
        { type: 'delta', message_id: id, seq: 1, text: 'one ' },
      );
    }
    expect(new Headers(init.headers).get('Last-Event-ID')).toBe('1');
    return sse(
      { type: 'delta', message_id: id, seq: 2, text: 'two' },
      { type: 'finish', message_id: id, seq: 3, reason: 'stop', error: null },
    );
  });
  const store = page();
  await store.dispatch(ask({ session: 's', content: 'hi', parent_id: null, model: 'm' }) as never);
  const m = store.getState().chat.messages.entities[id];
  expect(m).toMatchObject({ parts: [{ type: 'text', text: 'one two' }], status: 'complete' });
  expect(calls).toEqual(['POST /token', 'POST /chat/stream', `GET /chat/stream/${id}`]);
});

it('keeps a question that could not be sent, with the reason', async () => {
  serve(() => json({ code: 'too_many_running', detail: 'Stop one first.' }, 409));
  const store = page();
  await store.dispatch(ask({ session: null, content: 'hi', parent_id: null, model: 'm' }) as never);
  expect(store.getState().chat.pending).toMatchObject([
    { content: 'hi', failure: { code: 'too_many_running', detail: 'Stop one first.' } },
  ]);
});

it('does not ask again where there is no room', async () => {
  const calls = serve(() => json({ code: 'quota_exceeded', detail: 'Delete chats or files.' }, 507));
  const store = page();
  await store.dispatch(ask({ session: null, content: 'hi', parent_id: null, model: 'm' }) as never);
  expect(calls).toEqual(['POST /token', 'POST /chat/stream']);
  expect(store.getState().chat.pending).toMatchObject([{ content: 'hi', failure: { code: 'quota_exceeded' } }]);
});

it('makes the session first if something is set for it, once', async () => {
  let refuse = true;
  const bodies: Record<string, unknown>[] = [];
  const calls = serve((_method, path, init) => {
    const body = JSON.parse(String(init.body));
    bodies.push(body);
    if (path === '/sessions') return json({ id: 'made' }, 201);
    if (refuse) return json({ code: 'daily_limit', detail: 'used up' }, 429);
    const id = body.answer_id;
    return sse(
      { type: 'start', message_id: id, seq: 0, ...fields, session_id: 'made', parent_id: body.message_id },
      { type: 'finish', message_id: id, seq: 1, reason: 'stop', error: null },
    );
  });
  const store = page();
  const file = { id: 'f', name: 'a.txt', media_type: 'text/plain', size: 1 };
  await store.dispatch(
    ask({
      session: null,
      content: 'hi',
      parent_id: null,
      model: 'm',
      settings: { temperature: 1 },
      attachments: [file],
    }) as never,
  );
  const [failed] = store.getState().chat.pending;
  expect(failed).toMatchObject({
    content: 'hi',
    attachments: [file],
    failure: { code: 'daily_limit' },
  });
  refuse = false;
  await store.dispatch(retryPending({ answer_id: failed.answer_id, model: 'other' }) as never);
  expect(calls).toEqual(['POST /token', 'POST /sessions', 'POST /chat/stream', 'POST /chat/stream']);
  expect(bodies[0]).toEqual({ temperature: 1, model: 'm', title: 'hi' });
  expect(bodies[2]).toMatchObject({ session_id: 'made', model: 'other', attachments: ['f'] });
  const { pending, opened, messages } = store.getState().chat;
  expect(pending).toEqual([]);
  expect(opened).toBe('made');
  expect(messages.entities[failed.message_id]).toMatchObject({
    parts: [{ type: 'text', text: 'hi' }],
    attachments: [file],
  });
});
