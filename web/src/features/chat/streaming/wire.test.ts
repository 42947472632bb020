import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { configureStore } from '@reduxjs/toolkit';
import { expect, it } from 'vitest';
import { Batcher } from '../../../shared/batcher';
import { eventsReceived } from '../../../shared/events';
import type { Notice, Part, ServerEvent } from '../../../shared/protocol';
import { chatReducer } from './chatSlice';
import { type HeldPart, textOf } from './parts';

/** Events that the server sends, and what a client has of an answer then: written by a test of the server. */
interface Fixture {
  about: string;
  events: ServerEvent[];
  after?: { seq: number; text: string; reasoning: string; parts: Part[]; notices: Notice[]; ended: boolean };
}

const place = join(import.meta.dirname, '../../../../../hub/testdata/events');
const fixtures = readdirSync(place)
  .filter((name) => name.endsWith('.json'))
  .map((name): [string, Fixture] => [name, JSON.parse(readFileSync(join(place, name), 'utf8'))]);

/** As the page hands them to its store when they come fast. */
function joined(events: ServerEvent[]): ServerEvent[][] {
  const batches: ServerEvent[][] = [];
  const batcher = new Batcher((batch) => batches.push(batch));
  for (const e of events) batcher.push(e);
  batcher.flush();
  return batches;
}

const ways: Record<string, (events: ServerEvent[]) => ServerEvent[][]> = {
  'one by one': (events) => events.map((e) => [e]),
  'at once': (events) => [events],
  joined,
  twice: (events) => [events, events.filter((e) => e.type !== 'snapshot')],
};

function storeOf(...batches: ServerEvent[][]) {
  const store = configureStore({ reducer: { chat: chatReducer } });
  for (const events of batches) store.dispatch(eventsReceived({ events, via: 'socket' }));
  return Object.values(store.getState().chat.messages.entities);
}

const thoughtOf = (parts: HeldPart[]) => parts.map((p) => (p.type === 'reasoning' ? p.text : '')).join('');

for (const [name, { about, events, after }] of fixtures) {
  if (after) {
    it.each(Object.entries(ways))(`${name}: ${about} (%s)`, (_, batches) => {
      const [m] = storeOf(...batches(events));
      expect(m.parts).toMatchObject(after.parts);
      expect(m.notices).toEqual(after.notices);
      expect(textOf(m.parts)).toBe(after.text);
      expect(thoughtOf(m.parts)).toBe(after.reasoning);
      expect(m.seq).toBe(after.seq);
      expect(m.status !== 'streaming').toBe(after.ended);
    });
    continue;
  }
  it(`${name} is taken`, () => {
    const [m] = storeOf(events);
    for (const e of events) {
      if (e.type !== 'message') continue;
      expect(textOf(m.parts)).toBe(e.message.content);
      expect(thoughtOf(m.parts)).toBe(e.message.reasoning);
    }
  });
}
