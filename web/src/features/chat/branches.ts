import type { Message } from '../../shared/protocol';
import type { ChatState } from './state';

/** Siblings of one parent, in the order they were added. */
export function childrenOf(chat: ChatState, session: string, parent: string | null): Message[] {
  return chat.messages.ids
    .map((id) => chat.messages.entities[id])
    .filter((m) => m.session_id === session && m.parent_id === parent)
    .sort((a, b) => a.created_at.localeCompare(b.created_at));
}

/** The ids of the branch that is shown, root first. */
export function branchOf(chat: ChatState, session: string): string[] {
  const children = new Map<string | null, Message[]>();
  for (const id of chat.messages.ids) {
    const m = chat.messages.entities[id];
    if (m.session_id !== session) continue;
    const list = children.get(m.parent_id);
    if (list) list.push(m);
    else children.set(m.parent_id, [m]);
  }
  const path: string[] = [];
  for (let parent: string | null = null; ; ) {
    const list = children.get(parent)?.sort((a, b) => a.created_at.localeCompare(b.created_at));
    if (!list) return path;
    const wanted = chat.choices[parent ?? session];
    const next: Message = list.find((m) => m.id === wanted) ?? list[list.length - 1];
    path.push(next.id);
    parent = next.id;
  }
}

/** Where the page stands in a session's streams, for a subscribe. */
export function positionsOf(chat: ChatState, session: string): Record<string, number> {
  const out: Record<string, number> = {};
  for (const id of chat.messages.ids) {
    const m = chat.messages.entities[id];
    if (m.session_id === session && m.status === 'streaming' && !chat.own[m.id]) out[m.id] = m.seq;
  }
  return out;
}
