import { createAsyncThunk } from '@reduxjs/toolkit';
import { type Api, ApiError, failureOf, Superseded } from '../../../shared/api';
import { Batcher } from '../../../shared/batcher';
import type { Extra } from '../../../shared/callThunk';
import { eventsReceived } from '../../../shared/events';
import { isAway } from '../../../shared/patiently';
import { type Failure, isStreamEvent, newId, type Session } from '../../../shared/protocol';
import { askFailed, ownReadEnded, questionAsked, sessionMade } from '../streaming/chatSlice';
import type { ChatState } from '../streaming/chatState';
import type { Pending, Question } from '../streaming/pendingQuestion';

type Config = Extra & { state: { chat: ChatState } };
type Dispatch = (
  a:
    | ReturnType<typeof eventsReceived>
    | ReturnType<typeof ownReadEnded>
    | ReturnType<typeof askFailed>
    | ReturnType<typeof sessionMade>,
) => void;

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

/**
 * Asks, and reads the answer to its end. What the answer says arrives as events. A stream that breaks is taken up where
 * it broke; the ids make asking again safe.
 */
export const ask = createAsyncThunk<void, Question, Config>('chat/ask', async (question, { extra, dispatch }) => {
  const pending: Pending = { ...question, message_id: newId(), answer_id: newId(), failure: null };
  dispatch(questionAsked(pending));
  await readAnswer(pending, extra.api, dispatch);
});

/** Sends a question again that could not be sent, perhaps to another model. */
export const retryPending = createAsyncThunk<void, { answer_id: string; model?: string }, Config>(
  'chat/retry',
  async ({ answer_id, model }, { extra, dispatch, getState }) => {
    const failed = getState().chat.pending.find((p) => p.answer_id === answer_id);
    if (!failed) return;
    const pending = { ...failed, model: model ?? failed.model, failure: null };
    dispatch(questionAsked(pending));
    await readAnswer(pending, extra.api, dispatch);
  },
);

/** Stops an answer. If the server does not know it yet, the question may still be on its way: it is tried again. */
export const stopAnswer = createAsyncThunk<void, string, Config & { rejectValue: Failure }>(
  'chat/stop',
  async (id, { extra, getState, rejectWithValue }) => {
    for (let wait = 100; ; wait *= 2) {
      try {
        return await extra.api.json('DELETE', `/chat/stream/${id}`);
      } catch (e) {
        if (!(e instanceof ApiError) || e.status !== 404) return rejectWithValue(failureOf(e));
        const sending = getState().chat.pending.some((p) => p.answer_id === id && !p.failure);
        if (!sending && wait > 100) return; // the answer was deleted, or was never asked for
      }
      await sleep(Math.min(1000, wait));
    }
  },
);

/** A session's title until it has a better one. */
const firstWords = (text: string) => text.trim().split(/\s+/).slice(0, 8).join(' ').slice(0, 60);

/** The session to ask in. A new one with settings of its own is created before its first question. */
async function sessionFor(p: Pending, api: Api, dispatch: Dispatch): Promise<string | null> {
  if (p.session ?? p.made) return p.session ?? p.made ?? null;
  if (!p.settings || Object.keys(p.settings).length === 0) return null;
  const body = { ...p.settings, model: p.model, title: firstWords(p.content || (p.attachments?.[0]?.name ?? '')) };
  const made = await api.json<Session>('POST', '/sessions', body);
  dispatch(sessionMade({ answer_id: p.answer_id, session: made.id }));
  return made.id;
}

function bodyOf(p: Pending, session: string | null): string {
  const body: Record<string, unknown> = { answer_id: p.answer_id, model: p.model };
  if (session) body.session_id = session;
  if (p.session) body.parent_id = p.parent_id;
  if (p.content !== null) {
    body.content = p.content;
    body.message_id = p.message_id;
    if (p.attachments?.length) body.attachments = p.attachments.map((a) => a.id);
  }
  return JSON.stringify(body);
}

async function readAnswer(pending: Pending, api: Api, dispatch: Dispatch): Promise<void> {
  const id = pending.answer_id;
  const { login } = api;
  const batcher = new Batcher((events) => dispatch(eventsReceived({ events, via: 'sse' })));
  let seq = -1;
  try {
    const body = bodyOf(pending, await sessionFor(pending, api, dispatch));
    for (let broken = 0; broken < 8; broken++) {
      try {
        login.throwIfAborted();
        const events =
          seq < 0
            ? api.events('/chat/stream', { method: 'POST', body })
            : api.events(`/chat/stream/${id}`, { headers: { 'Last-Event-ID': String(seq) } });
        for await (const event of events) {
          broken = 0;
          batcher.push(event);
          if (isStreamEvent(event)) seq = event.seq;
          if (event.type === 'finish') return;
        }
        if (seq >= 0) continue; // the stream ended without a finish: attach to it again
      } catch (e) {
        if (e instanceof Superseded && seq >= 0) return;
        if (!isAway(e)) throw e;
        // A replica that shuts down says 503, and a proxy 502 for one that is gone: another replica may answer.
        const elsewhere = !(e instanceof ApiError) || e.status >= 502;
        if (seq < 0 && (!elsewhere || broken >= 3)) throw e;
      }
      await sleep(Math.min(4000, 300 * 2 ** broken));
    }
  } catch (e) {
    if (seq < 0) dispatch(askFailed({ answer_id: id, failure: failureOf(e) }));
  } finally {
    batcher.flush();
    dispatch(ownReadEnded(id)); // if the answer goes on, the socket brings the rest
  }
}
