import { configureStore } from '@reduxjs/toolkit';
import { describe, expect, it } from 'vitest';
import { eventsReceived } from '../../../shared/events';
import type { Call, Message, ServerEvent } from '../../../shared/protocol';
import { branchOf, positionsOf } from './branches';
import { chatReducer, loadMessages, ownReadEnded, questionAsked, sessionFollowed } from './chatSlice';
import { blankMessage } from './chatState';
import { missesChange, missesTokens, type ReceivedEvents } from './missed';
import { textOf } from './parts';

const S = 'session';
const message = (id: string, fields: Partial<Message> = {}): Message => ({
  ...blankMessage({ id, session_id: S, role: 'user', seq: 0, version: 1 }),
  created_at: `2026-01-01T00:00:0${id.length}Z`,
  ...fields,
});

function page() {
  const store = configureStore({ reducer: { chat: chatReducer }, middleware: (d) => d({ serializableCheck: false }) });
  let last: ReceivedEvents = { events: [], via: 'socket' };
  return {
    loaded: (version: number, ...items: Message[]) =>
      store.dispatch(loadMessages.fulfilled({ items, deleted: [], version }, '', S)),
    got(via: 'socket' | 'sse', ...events: ServerEvent[]) {
      last = { events, via };
      store.dispatch(eventsReceived(last));
    },
    /** What was missed before that which came last. */
    get missed() {
      const { chat } = store.getState();
      return { tokens: missesTokens(chat, last, S), change: missesChange(chat, last, S) };
    },
    dispatch: store.dispatch,
    get chat() {
      return store.getState().chat;
    },
    text: (id: string) => textOf(store.getState().chat.messages.entities[id].parts),
  };
}

const call: Call = {
  id: 'c',
  tool: 'weather.now',
  title: '',
  arguments: '',
  status: 'writing',
  wait: null,
  result: null,
  error: null,
  started_at: null,
  ended_at: null,
};

const start = {
  type: 'start',
  message_id: 'a',
  seq: 0,
  session_id: S,
  parent_id: 'q',
  model: 'm',
  version: 3,
} as const;
const delta = (seq: number, text: string, from?: number): ServerEvent => ({
  type: 'delta',
  message_id: 'a',
  seq,
  text,
  from,
});

describe('a stream', () => {
  it('applies each event once, in order', () => {
    const p = page();
    p.got('socket', start, delta(1, 'one '), delta(1, 'one '), delta(2, 'two'), delta(1, 'one '));
    expect(p.text('a')).toBe('one two');
  });

  it('takes a merged delta only where it belongs', () => {
    const p = page();
    p.got('socket', start, delta(1, 'one '), delta(5, 'x', 3));
    expect(p.text('a')).toBe('one ');
    expect(p.missed.tokens).toBe(true);
    p.got('socket', delta(5, 'two to five', 1));
    expect(p.text('a')).toBe('one two to five');
    expect(p.missed.tokens).toBe(false);
  });

  it('goes on when what was missed has come, and may miss something again', () => {
    const p = page();
    p.loaded(3);
    p.got('socket', start, delta(1, 'one '), delta(3, 'three '), delta(4, 'four '));
    expect(p.missed.tokens).toBe(true);
    p.dispatch(sessionFollowed({ session: S, version: 3 }));
    p.got('socket', delta(4, 'two three four ', 1));
    expect(p.text('a')).toBe('one two three four ');
    expect(p.missed.tokens).toBe(false);
    p.got('socket', delta(6, 'six '));
    expect(p.missed.tokens).toBe(true);
  });

  it('is not moved into the middle of what comes joined', () => {
    const p = page();
    p.got('socket', start, delta(1, 'one '));
    p.loaded(3, message('a', { role: 'assistant', status: 'streaming', content: 'one two ', seq: 2 }));
    p.got('socket', delta(3, 'two three', 1));
    expect(p.text('a')).toBe('one two three');
  });

  it('comes after what is there, however wrong the clock', () => {
    const p = page();
    p.loaded(2, message('old', { parent_id: 'q', created_at: '2999-01-01T00:00:00Z' }), message('q'));
    p.got('socket', start);
    expect(branchOf(p.chat, S)).toEqual(['q', 'a']);
  });

  it('is replaced by a snapshot, and goes on from there', () => {
    const p = page();
    p.got('socket', start, delta(1, 'old'));
    p.got('socket', { ...start, type: 'snapshot', seq: 9, text: 'new text', reasoning: '' }, delta(10, '!'));
    expect(p.text('a')).toBe('new text!');
  });

  it('is not moved by a load while this tab reads it', () => {
    const p = page();
    const pending = {
      session: null,
      message_id: 'q',
      answer_id: 'a',
      content: 'hi',
      parent_id: null,
      model: 'm',
      failure: null,
    };
    p.dispatch(questionAsked(pending));
    p.got('sse', start, delta(1, 'one '));
    p.loaded(3, message('a', { role: 'assistant', status: 'streaming', content: 'one two ', seq: 2 }));
    p.got('sse', delta(3, 'two three', 1));
    expect(p.text('a')).toBe('one two three');
  });

  it('keeps what was shown when it fails', () => {
    const p = page();
    const error = { code: 'provider_truncated', detail: 'It broke off.' };
    p.got('socket', start, delta(1, 'half'), { type: 'finish', message_id: 'a', seq: 2, reason: 'error', error });
    expect(p.chat.messages.entities.a).toMatchObject({ status: 'error', error });
    expect(p.text('a')).toBe('half');
  });

  it('ends with all that the provider sent, and with the model that answered', () => {
    const p = page();
    const said = {
      usage: { input_tokens: 1, output_tokens: 2, cost: 0.5 },
      model: 'other',
      notices: [{ code: 'fallback', detail: 'm failed' }],
    };
    const whole = { ...said, tool_calls: [{ id: 'c', name: 'f', arguments: '{}' }], thinking_ms: 1200 };
    const thought: ServerEvent = { type: 'delta', message_id: 'a', seq: 1, reasoning: 'hm' };
    p.got('socket', start, thought, delta(2, 'x'));
    expect(p.chat.messages.entities.a.parts[0]).toMatchObject({ type: 'reasoning', ms: expect.any(Number) });
    p.got('socket', { type: 'finish', message_id: 'a', seq: 3, reason: 'tool_calls', error: null, ...whole });
    expect(p.chat.messages.entities.a).toMatchObject({
      ...said,
      status: 'complete',
      parts: [
        { type: 'reasoning', text: 'hm', ms: 1200 },
        { type: 'text', text: 'x' },
        { type: 'call', call: { id: 'c', tool: 'f', arguments: '{}' } },
      ],
    });
  });

  it("leaves the socket's events aside while this tab reads its own answer", () => {
    const p = page();
    const pending = {
      session: S,
      message_id: 'q',
      answer_id: 'a',
      content: 'hi',
      parent_id: null,
      model: 'm',
      failure: null,
    };
    p.dispatch(questionAsked(pending));
    p.got('sse', start, delta(1, 'one '));
    p.got('socket', delta(2, 'two '), delta(3, 'three'));
    expect(p.text('a')).toBe('one ');
    expect(p.missed.tokens).toBe(false);
    expect(p.chat.pending).toEqual([]);
    p.dispatch(ownReadEnded('a'));
    expect(positionsOf(p.chat, S)).toEqual({ a: 1 });
  });
});

describe('the parts of an answer', () => {
  const step = (seq: number, fields: object): ServerEvent => ({ type: 'delta', message_id: 'a', seq, ...fields });
  const partsOf = (p: ReturnType<typeof page>) => p.chat.messages.entities.a.parts;
  const brief = (p: ReturnType<typeof page>) =>
    partsOf(p).map((x) => (x.type === 'call' ? `${x.call.status} ${x.call.arguments}` : `${x.type} ${x.text}`));

  it('stand in the order in which they came', () => {
    const p = page();
    p.got('socket', start, step(1, { reasoning: 'hm' }), step(2, { reasoning: '…' }), step(3, { text: 'Let me see.' }));
    p.got('socket', step(4, { text: '', call }), step(5, { text: '', call_id: 'c', arguments: '{"a"' }));
    p.got(
      'socket',
      step(6, { text: '', call_id: 'c', arguments: ':1}' }),
      step(7, { text: '', call_id: '?', arguments: 'x' }),
    );
    expect(brief(p)).toEqual(['reasoning hm…', 'text Let me see.', 'writing {"a":1}']);
    const done = { ...call, arguments: '{"a":1}', status: 'done' };
    p.got('socket', step(8, { reasoning: 'ah' }), step(9, { text: 'So ' }), step(10, { text: '', call: done }));
    p.got('socket', step(11, { text: 'it is.' }), {
      type: 'finish',
      message_id: 'a',
      seq: 12,
      reason: 'stop',
      error: null,
    });
    expect(brief(p)).toEqual(['reasoning hm…', 'text Let me see.', 'done {"a":1}', 'reasoning ah', 'text So it is.']);
    expect(p.text('a')).toBe('Let me see.So it is.');
  });

  it('take a merged call and a merged stretch of arguments where they belong alone', () => {
    const p = page();
    p.got('socket', start, step(1, { text: 'x' }));
    p.got('socket', step(9, { text: '', from: 3, call }));
    expect(brief(p)).toEqual(['text x']);
    p.got(
      'socket',
      step(4, { text: '', from: 1, call }),
      step(9, { text: '', from: 4, call_id: 'c', arguments: '{}' }),
    );
    expect(brief(p)).toEqual(['text x', 'writing {}']);
    expect(p.missed.tokens).toBe(false);
  });

  it('are replaced by a snapshot, also where text has become thoughts', () => {
    const p = page();
    const told: ServerEvent = {
      ...start,
      type: 'snapshot',
      seq: 3,
      text: 'It ',
      reasoning: 'I wonder',
      parts: [
        { type: 'reasoning', text: 'I wonder', ms: 900 },
        { type: 'text', text: 'It ' },
      ],
      notices: [{ code: 'continued', detail: '' }],
    };
    p.got('socket', start, step(1, { text: 'I wonder</th' }), told, step(4, { text: 'is.' }));
    p.got('socket', step(5, { text: '', notice: { code: 'fallback', detail: 'm failed' } }));
    expect(brief(p)).toEqual(['reasoning I wonder', 'text It is.']);
    expect(p.chat.messages.entities.a.notices.map((n) => n.code)).toEqual(['continued', 'fallback']);
    expect(told).toMatchObject({ parts: [{}, { text: 'It ' }], notices: [{ code: 'continued' }] }); // events stay as they are
  });

  it('are made of what a server of before tells', () => {
    const p = page();
    p.got('socket', { ...start, type: 'snapshot', seq: 3, text: 'It ', reasoning: 'I wonder' });
    expect(brief(p)).toEqual(['reasoning I wonder', 'text It ']);
    const tool_calls = [{ id: '', name: 'f', arguments: '{}' }];
    const fields = { content: 'It is.', reasoning: 'I wonder', tool_calls, thinking_ms: 700 };
    p.loaded(3, message('b', { role: 'assistant', ...fields }));
    expect(p.chat.messages.entities.b.parts).toMatchObject([
      { type: 'reasoning', text: 'I wonder', ms: 700 },
      { type: 'text', text: 'It is.' },
      { type: 'call', call: { tool: 'f', arguments: '{}', status: 'writing' } },
    ]);
  });

  it('are those of the message once it is stored; its calls are not shown twice', () => {
    const p = page();
    const tool_calls = [{ id: 'c', name: 'weather.now', arguments: '{}' }];
    p.got('socket', start, step(1, { text: '', call: { ...call, arguments: '{}' } }));
    p.got('socket', { type: 'finish', message_id: 'a', seq: 2, reason: 'tool_calls', error: null, tool_calls });
    expect(brief(p)).toEqual(['writing {}']);
    const parts: Message['parts'] = [{ type: 'call', call: { ...call, arguments: '{}' } }];
    p.loaded(3, message('a', { role: 'assistant', parts, tool_calls }));
    expect(brief(p)).toEqual(['writing {}']);
  });
});

describe('versions', () => {
  it('follow each other, and a hole is asked for', () => {
    const p = page();
    p.loaded(2, message('q'));
    p.got('socket', { type: 'message', version: 3, message: message('q2') });
    expect(p.chat.versions[S]).toBe(3);
    expect(p.missed.change).toBe(false);
    p.got('socket', { type: 'message', version: 5, message: message('q3') });
    expect(p.chat.versions[S]).toBe(3);
    expect(p.missed.change).toBe(true);
  });

  it('at or below what the page has change nothing', () => {
    const p = page();
    p.loaded(5, message('q', { content: 'edited' }));
    p.got('socket', { type: 'message', version: 4, message: message('q', { content: 'older' }) });
    expect(p.text('q')).toBe('edited');
  });

  it('a load that is late begins no stream again that has ended', () => {
    const p = page();
    p.got('socket', start, delta(1, 'all'), { type: 'finish', message_id: 'a', seq: 2, reason: 'stop', error: null });
    p.loaded(3, message('a', { role: 'assistant', status: 'streaming', content: '', seq: 0 }));
    expect(p.text('a')).toBe('all');
    expect(p.chat.messages.entities.a.status).toBe('complete');
  });

  it('a load never takes back what the stream has shown', () => {
    const p = page();
    p.got('socket', start, delta(1, 'one '), delta(2, 'two'));
    p.loaded(3, message('a', { role: 'assistant', status: 'streaming', content: 'one ', seq: 1 }));
    expect(p.text('a')).toBe('one two');
  });
});

it('shows the newest branch until another is chosen', () => {
  const p = page();
  p.loaded(
    9,
    message('q'),
    message('a1', { parent_id: 'q' }),
    message('a22', { parent_id: 'q' }),
    message('qqqq', { parent_id: 'a1' }),
  );
  expect(branchOf(p.chat, S)).toEqual(['q', 'a22']);
});

it('keeps the sessions that were used last', () => {
  const p = page();
  for (const id of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'a', 'i']) {
    const items = [message(`in ${id}`, { session_id: id })];
    p.dispatch(loadMessages.fulfilled({ items, deleted: [], version: 1 }, '', id));
    p.dispatch(sessionFollowed({ session: id, version: 1 }));
  }
  expect(Object.keys(p.chat.versions).join('')).toBe('cdefghai');
  expect(p.chat.messages.ids).not.toContain('in b');
  expect(p.chat.messages.ids).toContain('in a');
});
