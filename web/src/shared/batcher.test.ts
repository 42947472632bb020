import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Batcher, joinDeltas } from './batcher';
import type { ServerEvent } from './protocol';

const delta = (seq: number, text: string): ServerEvent => ({ type: 'delta', message_id: 'a', seq, text });

describe('joinDeltas', () => {
  it('keeps the first from and the last seq', () => {
    expect(joinDeltas(delta(4, 'a'), delta(5, 'b'))).toEqual({
      type: 'delta',
      message_id: 'a',
      from: 3,
      seq: 5,
      text: 'ab',
    });
  });
  it('joins nothing over a hole, another stream or another kind', () => {
    expect(joinDeltas(delta(4, 'a'), delta(6, 'b'))).toBeUndefined();
    expect(joinDeltas(delta(4, 'a'), { type: 'delta', message_id: 'b', seq: 5, text: 'b' })).toBeUndefined();
    expect(joinDeltas(delta(4, 'a'), { type: 'delta', message_id: 'a', seq: 5, reasoning: 'b' })).toBeUndefined();
  });
  it('joins the arguments of one call, and neither calls nor notices', () => {
    const of = (seq: number, fields: object): ServerEvent => ({
      type: 'delta',
      message_id: 'a',
      seq,
      text: '',
      ...fields,
    });
    const written = (seq: number, call_id: string) => of(seq, { call_id, arguments: `${seq}` });
    expect(joinDeltas(written(4, 'c'), written(5, 'c'))).toMatchObject({ from: 3, seq: 5, arguments: '45', text: '' });
    const notice = { code: 'x', detail: '' };
    const call = { id: 'c' };
    for (const [a, b] of [
      [written(4, 'c'), written(5, 'd')],
      [written(4, 'c'), delta(5, 'x')],
      [delta(4, 'x'), of(5, { call })],
      [of(4, { call }), of(5, { call })],
      [of(4, { notice }), of(5, { notice })],
      [of(4, { notice }), delta(5, 'x')],
    ])
      expect(joinDeltas(a, b)).toBeUndefined();
  });
});

describe('Batcher', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('hands on a hundred tokens as one, at most once per 40 ms', () => {
    const out = vi.fn();
    const b = new Batcher(out);
    b.flush();
    for (let i = 1; i <= 100; i++) b.push(delta(i, 'x'));
    expect(out).not.toHaveBeenCalled();
    vi.advanceTimersByTime(60);
    expect(out).toHaveBeenCalledTimes(1);
    expect(out.mock.calls[0][0]).toEqual([
      { type: 'delta', message_id: 'a', from: 0, seq: 100, text: 'x'.repeat(100) },
    ]);
  });

  it('flushes at once on a finish, in order', () => {
    const out = vi.fn();
    const b = new Batcher(out);
    b.push(delta(1, 'x'));
    b.push({ type: 'finish', message_id: 'a', seq: 2, reason: 'stop', error: null });
    expect(out.mock.calls.flatMap(([events]) => events.map((e: ServerEvent) => e.type))).toEqual(['delta', 'finish']);
  });
});
