import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Api } from './api';
import { Live, type LiveState } from './live';

/** The other end of each connection. */
class FakeSocket extends EventTarget {
  static readonly all: FakeSocket[] = [];
  readyState = 0;
  binaryType = 'blob';
  readonly sent: Record<string, unknown>[] = [];
  constructor() {
    super();
    FakeSocket.all.push(this);
  }
  open(): void {
    this.readyState = 1;
    this.dispatchEvent(new Event('open'));
  }
  send(data: string): void {
    this.sent.push(JSON.parse(data));
  }
  say(event: object): void {
    this.dispatchEvent(new MessageEvent('message', { data: JSON.stringify(event) }));
  }
  close(code = 1000): void {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event('close'), { code }));
  }
  of(type: string): Record<string, unknown>[] {
    return this.sent.filter((c) => c.type === type);
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('WebSocket', Object.assign(FakeSocket, { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 }));
  FakeSocket.all.length = 0;
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const last = () => FakeSocket.all[FakeSocket.all.length - 1];
const ready = { type: 'ready', user_id: 'u', user_version: 1 };

async function open(token: () => Promise<string> = async () => 't') {
  const api = new Api('');
  vi.spyOn(api, 'freshToken').mockImplementation(token);
  vi.spyOn(api, 'renewIn', 'get').mockReturnValue(600_000);
  const suspect = vi.spyOn(api, 'suspect');
  const distrust = vi.spyOn(api, 'distrust');
  const state = {
    positions: () => ({}),
    received: vi.fn(),
    subscribed: vi.fn(),
    missing: vi.fn(),
    online: vi.fn(),
  } satisfies LiveState;
  const live = new Live(api, state);
  await pass(0);
  last().open();
  await pass(0);
  return { live, state, suspect, distrust };
}

it('gives up a connection that died without a word, and what may have died with it', async () => {
  const { live, state, suspect } = await open();
  last().say(ready);
  await pass(25_000);
  expect(last().of('ping')).toHaveLength(1);
  last().say({ type: 'pong' });
  await pass(19_000);
  expect(last().of('ping')).toHaveLength(1);
  await pass(12_000);
  expect(FakeSocket.all).toHaveLength(2);
  expect(state.online).toHaveBeenLastCalledWith(false);
  expect(suspect).not.toHaveBeenCalled();
  last().open();
  await pass(0);
  last().say(ready);
  expect(suspect).toHaveBeenCalledOnce();
  live.close();
});

it('asks at once whether the server is there when the network is back', async () => {
  const { live } = await open();
  last().say(ready);
  window.dispatchEvent(new Event('online'));
  expect(last().of('ping')).toHaveLength(1);
  live.close();
});

it('leaves the server alone once the login is over', async () => {
  const { live } = await open(async () => '');
  live.close();
  await pass(60_000);
  expect(FakeSocket.all).toHaveLength(1);
  expect(last().sent).toEqual([]);
});

it('waits longer each time for a token, and keeps the connection meanwhile', async () => {
  let calls = 0;
  const { live } = await open(async () => {
    calls++;
    throw new TypeError('away');
  });
  await pass(10_000);
  expect(calls).toBeLessThan(8);
  expect(FakeSocket.all).toHaveLength(1);
  live.close();
  const before = calls;
  await pass(60_000);
  expect(calls).toBeLessThanOrEqual(before + 1);
});

it('does not trust a token that the server refused', async () => {
  const { live, distrust } = await open();
  last().say(ready);
  last().close(4401);
  expect(distrust).toHaveBeenCalledOnce();
  live.close();
});

it('subscribes again when that was refused, unless the session is not there', async () => {
  const { live, state } = await open();
  last().say(ready);
  live.follow('s');
  const first = last().of('subscribe');
  expect(first).toHaveLength(1);
  last().say({ type: 'error', ref: first[0].ref, code: 'unavailable', detail: '' });
  await pass(2000);
  const second = last().of('subscribe');
  expect(second).toHaveLength(2);
  last().say({ type: 'ack', ref: second[1].ref, version: 7 });
  expect(state.subscribed).toHaveBeenCalledWith('s', 7);
  live.follow('gone');
  last().say({ type: 'error', ref: last().of('subscribe')[2].ref, code: 'not_found', detail: '' });
  await pass(5000);
  expect(last().of('subscribe')).toHaveLength(3);
  expect(state.missing).toHaveBeenCalledWith('gone');
  live.close();
});

it('asks once for what was missed, however much that is, until it is answered', async () => {
  const { live } = await open();
  last().say(ready);
  live.follow('s');
  live.catchUp(); // the first subscribe brings it
  expect(last().of('subscribe')).toHaveLength(1);
  last().say({ type: 'ack', ref: last().of('subscribe')[0].ref, version: 7 });
  live.catchUp();
  live.catchUp();
  expect(last().of('subscribe')).toHaveLength(2);
  last().say({ type: 'error', ref: last().of('subscribe')[1].ref, code: 'unavailable', detail: '' });
  live.catchUp(); // it is asked again anyway, after a while
  expect(last().of('subscribe')).toHaveLength(2);
  await pass(2000);
  expect(last().of('subscribe')).toHaveLength(3);
  last().close();
  await pass(1000);
  last().open();
  await pass(0);
  last().say(ready);
  expect(last().of('subscribe')).toHaveLength(1);
  live.close();
});
