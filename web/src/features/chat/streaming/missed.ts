import { isStreamEvent, type ServerEvent } from '../../../shared/protocol';
import type { ChatState } from './chatState';

/** Events as they arrived, and how. */
export interface ReceivedEvents {
  events: ServerEvent[];
  via: 'socket' | 'sse';
}

/** A version of a session that an event tells of, if it is one that the page should have. */
export function versionTold(
  chat: ChatState,
  e: ServerEvent,
  via: ReceivedEvents['via'],
): { session: string; version: number } | undefined {
  switch (e.type) {
    case 'start':
    case 'finish': {
      const session = e.type === 'start' ? e.session_id : chat.messages.entities[e.message_id]?.session_id;
      return via === 'socket' && e.version && session ? { session, version: e.version } : undefined;
    }
    case 'message': {
      const { id, session_id: session } = e.message;
      return chat.deleted[id] || chat.missing[session] ? undefined : { session, version: e.version };
    }
    case 'message_deleted':
      return { session: e.session_id, version: e.version };
    case 'version':
      return e.session_id ? { session: e.session_id, version: e.version } : undefined;
    default:
      return;
  }
}

/** Whether events told of a version of a session that the page does not have after them: a change was missed. */
export function missesChange(chat: ChatState, { events, via }: ReceivedEvents, session: string): boolean {
  const has = chat.versions[session];
  if (has === undefined) return false;
  return events.some((e) => {
    const told = versionTold(chat, e, via);
    return told?.session === session && told.version > has;
  });
}

/** Whether a stream of a session stands before an event that arrived for it: what lies between was missed. */
export function missesTokens(chat: ChatState, { events, via }: ReceivedEvents, session: string): boolean {
  return events.some((e) => {
    if (!isStreamEvent(e) || (via === 'socket' && chat.own[e.message_id])) return false;
    const m = chat.messages.entities[e.message_id];
    return m?.session_id === session && m.status === 'streaming' && e.seq > m.seq;
  });
}
