import { MantineProvider } from '@mantine/core';
import { render, screen } from '@testing-library/react';
import { Provider } from 'react-redux';
import { expect, it } from 'vitest';
import { makeStore } from '../app/store';
import { Api } from './api';
import { loadLimits } from './limitsSlice';
import { StorageNote } from './StorageNote';

const GIB = 1024 ** 3;

function noteOf(storage?: { used: number; quota: number }) {
  const store = makeStore(new Api(''));
  const limits = { file_bytes: 1, files_per_prompt: 1, daily_tokens: 0, daily_cost: 0, used_tokens: 0, used_cost: 0 };
  store.dispatch(loadLimits.fulfilled({ ...limits, storage }, ''));
  render(
    <Provider store={store}>
      <MantineProvider>
        <StorageNote />
      </MantineProvider>
    </Provider>,
  );
  return screen.queryByRole('status')?.textContent;
}

it.each([
  ['below 90 %', { used: 8.9 * GIB, quota: 10 * GIB }],
  ['without a limit', { used: 100 * GIB, quota: 0 }],
  ['when the server does not say', undefined],
])('says nothing %s', (_, storage) => {
  expect(noteOf(storage)).toBeUndefined();
});

it.each([
  [9.3, 'You have used 9.3 GiB of 10 GiB. Delete chats or files to make room.'],
  [10.2, 'You have used 10.2 GiB of 10 GiB. Delete chats or files to make room.'],
])('warns at %d of 10 GiB', (used, text) => {
  expect(noteOf({ used: used * GIB, quota: 10 * GIB })).toBe(text);
});
