import { expect, it } from 'vitest';
import type { UsageSum } from '../../shared/protocol';
import { answersOf, dayName, everyDay, total } from './days';

const sum = (key: string, tokens: number, cost: number): UsageSum => ({
  key,
  label: key,
  answers: 1,
  input_tokens: tokens,
  output_tokens: 1,
  cached_tokens: 0,
  reasoning_tokens: 0,
  cost,
  estimated: 0,
  unpriced: 0,
  titles: 0,
});

it('has a bar for every day up to today', () => {
  const now = Date.parse('2026-03-02T23:30:00Z');
  const days = everyDay([sum('2026-02-28', 5, 0), sum('2026-03-02', 7, 0)], 4, now);
  expect(days.map((d) => [d.key, d.input_tokens])).toEqual([
    ['2026-02-27', 0],
    ['2026-02-28', 5],
    ['2026-03-01', 0],
    ['2026-03-02', 7],
  ]);
  expect(dayName('2026-03-02')).toBe('Mar 2');
});

it('adds up', () => {
  expect(total([sum('a', 5, 0.5), sum('b', 7, 0.25)])).toMatchObject({ answers: 2, input_tokens: 12, cost: 0.75 });
});

it('counts titles beside answers', () => {
  const of = (answers: number, titles: number) => answersOf({ ...total([]), answers, titles });
  expect([of(3, 0), of(3, 1), of(0, 2), of(0, 0)]).toEqual(['3', '3 + 1 title', '2 titles', '0']);
});
