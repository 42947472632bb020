import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Api, Superseded } from './api';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** An event stream that says what it is told to, and ends only if it is given up. */
function serve() {
  let out: ReadableStreamDefaultController<Uint8Array> | undefined;
  vi.stubGlobal('fetch', async (url: string, init: RequestInit = {}) => {
    if (url === '/token') return new Response(JSON.stringify({ access_token: 't', expires_in: 900 }));
    const body = new ReadableStream<Uint8Array>({
      start(c) {
        out = c;
      },
    });
    init.signal?.addEventListener('abort', () => out?.error(init.signal?.reason));
    return new Response(body);
  });
  return (text: string) => out?.enqueue(new TextEncoder().encode(text));
}

function read(api: Api) {
  const got: unknown[] = [];
  const ended = (async () => {
    for await (const e of api.events('/x', {})) got.push(e);
  })().catch((e: Error) => e);
  return { got, ended };
}

it('reads on while heartbeats come, and gives up a stream that is silent', async () => {
  const say = serve();
  const { got, ended } = read(new Api(''));
  await pass(0);
  say('data: {"type":"pong"}\n\n');
  for (let i = 0; i < 5; i++) {
    await pass(25_000);
    say(': hb\n\n');
  }
  const over = vi.fn();
  ended.then(over);
  await pass(40_000);
  expect(over).not.toHaveBeenCalled();
  expect(got).toEqual([{ type: 'pong' }]);
  await pass(10_000);
  expect(over).toHaveBeenCalledWith(expect.objectContaining({ name: 'AbortError' }));
});

it('leaves what may have died to the WebSocket', async () => {
  serve();
  const api = new Api('');
  const { ended } = read(api);
  await pass(0);
  api.suspect();
  await pass(6000);
  expect(await ended).toBeInstanceOf(Superseded);
});

it('answers nothing to the next person that was asked for the one before', async () => {
  let away = true;
  const asked: string[] = [];
  vi.stubGlobal('fetch', (url: string, init: RequestInit = {}) => {
    if (url === '/token') return Promise.resolve(new Response(JSON.stringify({ access_token: 't', expires_in: 900 })));
    if (url === '/token/revoke') return Promise.resolve(new Response());
    asked.push(url);
    if (url === '/away' && away) return Promise.resolve(new Response('{}', { status: 503 }));
    return new Promise((_, failed) => {
      init.signal?.addEventListener('abort', () => failed(init.signal?.reason));
    });
  });
  const api = new Api('');
  await api.logIn('ann', 'her password');
  const { ended } = read(api);
  const slow = api.json('GET', '/slow').catch((e: Error) => e);
  const tried = api.patiently(() => api.json('GET', '/away')).catch((e: Error) => e);
  await pass(0);
  await api.logOut();
  away = false;
  await api.logIn('bob', 'his password');
  await pass(60_000);
  for (const end of [ended, slow, tried]) expect(await end).toMatchObject({ status: 401, code: 'unauthenticated' });
  expect(asked.filter((url) => url === '/away')).toHaveLength(1);
});
