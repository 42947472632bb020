import { expect, it } from 'vitest';
import { branchOf, siblingsOf } from './branches';
import { blankMessage, initialState, messages } from './chatState';
import { type HeldMessage, held } from './parts';

const message = (id: string, parent_id: string | null, created_at: string) =>
  held(blankMessage({ id, session_id: 's', role: 'user', parent_id, created_at }));

function chatOf(...items: HeldMessage[]) {
  const chat = initialState();
  return { ...chat, messages: messages.setAll(chat.messages, items) };
}

type Chat = ReturnType<typeof chatOf>;
const changed = (chat: Chat, id: string, changes: Partial<HeldMessage>) => ({
  ...chat,
  messages: messages.updateOne(chat.messages, { id, changes }),
});

it('keeps a branch while its text grows, and moves what the server has elsewhere', () => {
  const chat = chatOf(message('q', null, '1'), message('a', 'q', '3'), message('b', 'q', '2'), message('c', 'b', '4'));
  const path = branchOf(chat, 's');
  expect(path).toEqual(['q', 'a']);
  const grown = changed(chat, 'a', { parts: [{ type: 'text', text: 'More' }] });
  expect(branchOf(grown, 's')).toBe(path);
  expect(siblingsOf(grown, 'a')).toBe(siblingsOf(chat, 'b'));
  expect(branchOf(changed(grown, 'a', { created_at: '0' }), 's')).toEqual(['q', 'b', 'c']);
  expect(branchOf(changed(grown, 'c', { parent_id: 'a' }), 's')).toEqual(['q', 'a', 'c']);
  expect(branchOf(grown, 'another')).toEqual([]);
});
