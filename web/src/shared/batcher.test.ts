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
