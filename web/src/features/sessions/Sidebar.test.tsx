import { MantineProvider } from '@mantine/core';
import { act, fireEvent, render, screen, waitFor } from '@testing-library/react';
import { Provider } from 'react-redux';
import { expect, it, vi } from 'vitest';
import { makeStore } from '../../app/store';
import { Api, ApiError } from '../../shared/api';
import { resume } from '../../shared/authSlice';
import { loggedOut } from '../../shared/events';
import type { Session, User } from '../../shared/protocol';
import { Sidebar } from './Sidebar';
import { loadSessions } from './sessionsSlice';

const session = (id: string, title: string) => ({ id, title, updated_at: new Date().toISOString() }) as Session;

function page(...items: Session[]) {
  const api = new Api('');
  const json = vi.spyOn(api, 'json').mockResolvedValue({ ...items[0], title: 'Other' });
  const store = makeStore(api);
  store.dispatch(loadSessions.fulfilled({ items, deleted: [], version: 1 }, ''));
  render(
    <Provider store={store}>
      <MantineProvider>
        <Sidebar onOpen={() => {}} onNew={() => {}} />
      </MantineProvider>
    </Provider>,
  );
  return { store, json };
}

it('renames with Enter, but not with one that ends a composition', async () => {
  const { json } = page(session('a', 'First'));
  fireEvent.click(screen.getByRole('button', { name: 'More for First' }));
  fireEvent.click(await screen.findByRole('menuitem', { name: 'Rename' }));
  const input = screen.getByRole('textbox', { name: 'Title' });
  fireEvent.change(input, { target: { value: 'Other' } });
  fireEvent.keyDown(input, { key: 'Enter', isComposing: true });
  fireEvent.keyDown(input, { key: 'Enter', keyCode: 229 }); // Safari
  expect(json).not.toHaveBeenCalled();
  fireEvent.keyDown(input, { key: 'Enter', keyCode: 13 });
  expect(json).toHaveBeenCalledWith('PATCH', '/sessions/a', { title: 'Other' });
  await waitFor(() => expect(screen.getByRole('button', { name: 'Other' })).toBeTruthy());
});

it.each([
  ['Café', 'Cafe\u0301'],
  ['ＡＢＣ１２３', 'abc123'],
  ['ｶﾀｶﾅ', 'カタカナ'],
  ['ｶﾞｷﾞ', 'カ\u3099キ\u3099'],
  ['ﬁne', 'fine'],
  ['Ⅷ', 'viii'],
  ['한글', '\u1112\u1161\u11ab\u1100\u1173\u11af'],
  ['STRASSE', 'Straße'],
  ['STRAẞE', 'straße'],
  ['ΟΔΟΣ', 'οδος'],
  ['你好，世界', '你好,世界'],
])('finds %s and %s by each other', (a, b) => {
  page(session('a', `= ${a} =`), session('b', `= ${b} =`), session('c', 'Other'));
  for (const query of [a, b]) {
    fireEvent.change(screen.getByRole('textbox', { name: 'Search chats' }), { target: { value: query } });
    expect(document.querySelectorAll('[data-session]')).toHaveLength(2);
  }
});

it('says so when no chat is found', () => {
  page(session('a', 'First'));
  const search = screen.getByRole('textbox', { name: 'Search chats' });
  fireEvent.change(search, { target: { value: 'second' } });
  expect(screen.getByRole('status').textContent).toBe('No title has this in it.');
  fireEvent.change(search, { target: { value: 'fir' } });
  expect(screen.getByRole('status').textContent).toBe('');
});

it('says what did not happen, but not to the next who logs in', async () => {
  const { store, json } = page(session('a', 'First'));
  const notice = () => store.getState().notice.last?.what;
  const rename = async (to: string) => {
    fireEvent.click(screen.getByRole('button', { name: 'More for First' }));
    fireEvent.click(await screen.findByRole('menuitem', { name: 'Rename' }));
    const input = screen.getByRole('textbox', { name: 'Title' });
    fireEvent.change(input, { target: { value: to } });
    fireEvent.keyDown(input, { key: 'Enter' });
  };
  let refuse = () => {};
  const wait = () =>
    json.mockImplementationOnce(
      () =>
        new Promise((_, failed) => {
          refuse = () => failed(new ApiError(403, 'forbidden', 'Refused.'));
        }),
    );
  store.dispatch(resume.fulfilled({ id: 'u' } as User, ''));
  wait();
  await rename('Second');
  await act(async () => refuse());
  await waitFor(() => expect(notice()).toBe('“First” was not renamed to “Second”'));
  wait();
  await rename('Third');
  act(() => store.dispatch(loggedOut()));
  await act(async () => refuse());
  expect(notice()).toBeUndefined();
});
