import { isStreamEvent, type ServerEvent } from '../../../shared/protocol';
import type { ChatState } from './chatState';

/** A batch of events and the connection that brought it. */
export interface ReceivedEvents {
  events: ServerEvent[];
  via: 'socket' | 'sse';
}

/** The version that an event says a session has; undefined if it says none, or one that does not concern the page. */
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

/** Whether the page, after applying these events, has an older version of a session than they say: it missed a change. */
export function missesChange(chat: ChatState, { events, via }: ReceivedEvents, session: string): boolean {
  const has = chat.versions[session];
  if (has === undefined) return false;
  return events.some((e) => {
    const told = versionTold(chat, e, via);
    return told?.session === session && told.version > has;
  });
}

/** Whether, after these events were applied, a stream of a session is behind one of them: the page missed some tokens. */
export function missesTokens(chat: ChatState, { events, via }: ReceivedEvents, session: string): boolean {
  return events.some((e) => {
    if (!isStreamEvent(e) || (via === 'socket' && chat.own[e.message_id])) return false;
    const m = chat.messages.entities[e.message_id];
    return m?.session_id === session && m.status === 'streaming' && e.seq > m.seq;
  });
}
