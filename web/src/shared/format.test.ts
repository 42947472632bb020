import { expect, it } from 'vitest';
import { bytes, compact, duration, money } from './format';

it('says money in as many digits as matter', () => {
  expect([0, 12.5, 0.5, 0.0123, 0.00042, 0.00000001].map(money)).toEqual([
    '$0.00',
    '$12.50',
    '$0.50',
    '$0.012',
    '$0.00042',
    '<$0.000001',
  ]);
});

it('says sizes and times', () => {
  expect([12, 2048, 1024 * 1024 * 10, 9.3 * 1024 ** 3].map(bytes)).toEqual(['12 bytes', '2 KiB', '10 MiB', '9.3 GiB']);
  expect([0, 59.6, 65, 120, 3600 * 5 + 60 * 12].map(duration)).toEqual([
    '0 s',
    '1 min',
    '1 min 5 s',
    '2 min',
    '5 h 12 min',
  ]);
  expect(compact(128_000)).toBe('128k');
});
