import {
  type FinishEvent,
  isStreamEvent,
  type ServerEvent,
  type SnapshotEvent,
  type StreamEvent,
  statusOf,
} from '../../../shared/protocol';
import { blankMessage, type ChatState, chooseVersion, loseSession, messages, removeMessage } from './chatState';
import { type ReceivedEvents, versionTold } from './missed';
import { addDelta, addWhole, type HeldMessage, type HeldPart, held, heldParts } from './parts';

/** The time of a new message: later than all others of its session, even if this device's clock is slow. */
function now(state: ChatState, session: string): string {
  let at = Date.now();
  for (const m of Object.values(state.messages.entities)) {
    if (m.session_id === session) at = Math.max(at, Date.parse(m.created_at) + 1);
  }
  return new Date(at).toISOString();
}

/** The server has a question of this tab: it becomes a message, and is no longer pending. */
function acceptQuestion(
  state: ChatState,
  e: { message_id: string; session_id: string; parent_id: string | null },
): void {
  const p = state.pending.find((x) => x.answer_id === e.message_id);
  if (!p) return;
  const parent = p.session ? p.parent_id : null;
  if (p.content !== null && e.parent_id && parent !== undefined && !state.messages.entities[e.parent_id]) {
    const question = blankMessage({
      id: e.parent_id,
      session_id: e.session_id,
      role: 'user',
      content: p.content,
      attachments: p.attachments ?? [],
      parent_id: parent,
      created_at: now(state, e.session_id),
    });
    messages.addOne(state.messages, held(question));
    chooseVersion(state, question);
  }
  chooseVersion(state, { id: e.message_id, session_id: e.session_id, parent_id: e.parent_id });
  if (!p.session) state.opened = e.session_id;
  state.pending = state.pending.filter((x) => x !== p);
}

function finishMessage(m: HeldMessage, e: FinishEvent): void {
  m.status = statusOf(e.reason);
  m.finish_reason = e.reason;
  m.error = e.error;
  m.finished_at = new Date().toISOString();
  if (e.usage) m.usage = e.usage;
  if (e.model) m.model = e.model;
  if (e.notices) m.notices = e.notices;
  addWhole(m.parts, e);
}

/** The parts of a snapshot. What this tab saw begin goes on. */
function partsOf(e: SnapshotEvent, old: HeldPart[] = []): HeldPart[] {
  const parts = heldParts(e, e.text);
  for (const [i, part] of parts.entries()) {
    const before = old[i];
    if (part.type === 'reasoning' && before?.type === 'reasoning') part.since = before.since;
  }
  return parts;
}

function applyStream(state: ChatState, e: StreamEvent): void {
  if (e.type === 'start' || e.type === 'snapshot') {
    if (state.deleted[e.message_id] || state.missing[e.session_id]) return;
    acceptQuestion(state, e);
    const old = state.messages.entities[e.message_id];
    if (e.type === 'start' && old && old.seq >= 0) return;
    messages.upsertOne(state.messages, {
      ...(old ??
        held(
          blankMessage({
            id: e.message_id,
            session_id: e.session_id,
            role: 'assistant',
            created_at: now(state, e.session_id),
          }),
        )),
      parent_id: e.parent_id,
      model: e.model,
      status: 'streaming',
      seq: e.seq,
      ...(e.type === 'snapshot' ? { parts: partsOf(e, old?.parts), notices: [...(e.notices ?? [])] } : {}),
    });
    if (e.type === 'start')
      chooseVersion(state, { id: e.message_id, session_id: e.session_id, parent_id: e.parent_id });
    return;
  }
  const m = state.messages.entities[e.message_id];
  if (m?.status !== 'streaming' || e.seq <= m.seq) return; // a reconnect sends events again, and each is applied once
  const from = e.type === 'delta' ? (e.from ?? e.seq - 1) : e.seq - 1;
  if (from !== m.seq) return; // something before this event was missed; both will be sent again
  m.seq = e.seq;
  if (e.type === 'finish') {
    finishMessage(m, e);
    return;
  }
  addDelta(m, e);
}

/** Advances a session's version if the change is the next one, and returns whether the change is new to the page. */
function noteVersion(state: ChatState, told: { session: string; version: number } | undefined): boolean {
  if (!told) return false;
  const known = state.versions[told.session];
  if (known === undefined || told.version <= known) return false;
  if (told.version === known + 1) state.versions[told.session] = told.version;
  return true;
}

/** Applies one event. An event that leaves a hole changes nothing; a listener finds the hole and asks again. */
export function applyEvent(state: ChatState, e: ServerEvent, via: ReceivedEvents['via']): void {
  const newer = e.type !== 'version' && noteVersion(state, versionTold(state, e, via));
  if (isStreamEvent(e)) {
    if (via === 'sse' || !state.own[e.message_id]) applyStream(state, e);
    return;
  }
  switch (e.type) {
    case 'message':
      if (state.deleted[e.message.id] || state.missing[e.message.session_id]) break;
      if (newer || !state.messages.entities[e.message.id]) {
        messages.upsertOne(state.messages, held(e.message));
        chooseVersion(state, e.message);
      }
      break;
    case 'message_deleted':
      removeMessage(state, e.message_id);
      break;
    case 'session':
      if (e.session.version === state.versions[e.session.id] + 1) state.versions[e.session.id]++;
      break;
    case 'session_deleted':
      loseSession(state, e.session_id);
      break;
    case 'presence':
      state.viewers[e.session_id] = e.viewers;
      break;
    case 'notice': {
      const m = state.messages.entities[e.message_id];
      if (m?.status === 'streaming') m.waits_for = e.notice.detail;
      break;
    }
    case 'version':
    case 'ready':
    case 'ack':
    case 'pong':
    case 'error':
      break;
    default:
      e satisfies never;
  }
}
