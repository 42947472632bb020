import { expect, it } from 'vitest';
import { explain, retryAt } from './failureWords';

it('says what a code means, and the ways out', () => {
  expect(explain({ code: 'context_length', detail: 'raw' })).toMatchObject({ ways: ['switch', 'new'], detail: '' });
  expect(explain({ code: 'provider_auth', detail: 'raw' }).ways).toContain('settings');
});

it("keeps the server's words where the code says less", () => {
  expect(explain({ code: 'provider_invalid_request', detail: 'No top_k here.' }).detail).toBe('No top_k here.');
  expect(explain({ code: 'something_new', detail: 'In words.' })).toMatchObject({
    detail: 'In words.',
    ways: ['retry', 'switch'],
  });
  expect(explain(null).title).toBe('That did not work');
});

it('tells who has no room what makes some', () => {
  expect(explain({ code: 'quota_exceeded', detail: 'raw' })).toMatchObject({
    text: expect.stringContaining('Delete chats or files'),
    ways: ['retry'],
  });
});

it('knows when to try again', () => {
  const since = '2026-01-01T00:00:00Z';
  expect(retryAt({ code: 'x', detail: '', retry_after: 40 }, since)).toBe(Date.parse(since) + 40_000);
  expect(retryAt({ code: 'x', detail: '' }, since)).toBe(0);
  expect(retryAt({ code: 'x', detail: '', retry_after: 40 }, null)).toBe(0);
});

it("adds a provider's own words where they were told", () => {
  const failure = { code: 'provider_overloaded', detail: 'The provider is overloaded. The server said: queue is full' };
  expect(explain(failure)).toMatchObject({ detail: 'The server said: queue is full' });
  expect(explain({ ...failure, detail: 'The provider is overloaded.' }).detail).toBe('');
});
