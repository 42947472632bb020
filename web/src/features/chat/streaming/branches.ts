import { createSelector } from '@reduxjs/toolkit';
import type { ChatState } from './chatState';
import type { HeldMessage } from './parts';

type Entities = Record<string, HeldMessage>;
/** For each parent, the ids of its children in the order they were added. Roots are children of their session. */
type Index = Map<string, string[]>;

const parentOf = (m: HeldMessage) => m.parent_id ?? m.session_id;

/** Compares times as numbers, since as text one may have fewer digits than another. */
const byTime = (a: HeldMessage, b: HeldMessage) =>
  Date.parse(a.created_at) - Date.parse(b.created_at) || a.created_at.localeCompare(b.created_at);

function makeIndex(ids: string[], entities: Entities): Index {
  const sorted = ids.map((id) => entities[id]).sort(byTime);
  return new Map([...Map.groupBy(sorted, parentOf)].map(([parent, children]) => [parent, children.map((m) => m.id)]));
}

const samePlace = (a: HeldMessage, b: HeldMessage) =>
  a === b || (parentOf(a) === parentOf(b) && a.created_at === b.created_at);

let known: { ids: string[]; entities: Entities; index: Index } | undefined;

/** The index of all messages. A delta moves no message, so the index of before is kept. */
function indexOf({ ids, entities }: ChatState['messages']): Index {
  if (known?.entities !== entities) {
    const old = known;
    const same = old?.ids === ids && ids.every((id) => samePlace(old.entities[id], entities[id]));
    known = { ids, entities, index: same ? old.index : makeIndex(ids, entities) };
  }
  return known.index;
}

const none: string[] = [];

/** The ids of a message and its siblings. */
export function siblingsOf(chat: ChatState, id: string): string[] {
  const m = chat.messages.entities[id];
  return (m && indexOf(chat.messages).get(parentOf(m))) ?? none;
}

/** The ids of the branch that is shown, root first. */
export const branchOf = createSelector(
  [
    (chat: ChatState) => indexOf(chat.messages),
    (chat: ChatState) => chat.choices,
    (_: ChatState, session: string | null) => session,
  ],
  (index, choices, session) => {
    const path: string[] = [];
    for (let parent = session; parent; parent = path[path.length - 1]) {
      const children = index.get(parent);
      if (!children) break;
      path.push(children.find((id) => id === choices[parent]) ?? children[children.length - 1]);
    }
    return path;
  },
);

/** The last seq that the page has of each stream of a session, as a subscribe needs them. */
export function positionsOf(chat: ChatState, session: string): Record<string, number> {
  const out: Record<string, number> = {};
  for (const id of chat.messages.ids) {
    const m = chat.messages.entities[id];
    if (m.session_id === session && m.status === 'streaming' && !chat.own[m.id]) out[m.id] = m.seq;
  }
  return out;
}
