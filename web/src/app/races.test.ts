import { describe, expect, it, vi } from 'vitest';
import { loadMessages, selectMessage } from '../features/chat/streaming/chatSlice';
import { blankMessage } from '../features/chat/streaming/chatState';
import { deleteSession, loadSessions, selectSessions, updateSession } from '../features/sessions/sessionsSlice';
import {
  deletePrice,
  loadEndpoints,
  loadPrices,
  loadSettings,
  loadWarnings,
  putPrice,
  saveSettings,
} from '../features/settings/settingsSlice';
import { loadUsage, selectUsage } from '../features/usage/usageSlice';
import { Api, ApiError } from '../shared/api';
import { eventsReceived, loggedOut } from '../shared/events';
import { loadLimits } from '../shared/limitsSlice';
import { loadModels } from '../shared/modelsSlice';
import { arrived } from '../shared/placeSlice';
import type { Message, ServerEvent, Session } from '../shared/protocol';
import { makeStore, type RootState } from './store';

/** A page whose server answers when it is told to, each call by its place. */
function page() {
  const api = new Api('');
  const calls: { path: string; answer: (body: unknown) => Promise<void>; refuse: () => Promise<void> }[] = [];
  const later = () => new Promise<void>((done) => setTimeout(done));
  vi.spyOn(api, 'json').mockImplementation(
    (method, path) =>
      new Promise((done, failed) => {
        const answer = (body: unknown) => {
          done(body as never);
          return later();
        };
        const refuse = () => {
          failed(new ApiError(403, 'forbidden', 'Refused.'));
          return later();
        };
        calls.push({ path: `${method} ${path}`, answer, refuse });
      }),
  );
  const store = makeStore(api);
  const got = (...events: ServerEvent[]) => store.dispatch(eventsReceived({ events, via: 'socket' }));
  return { api, calls, store, got, dispatch: store.dispatch };
}

const session = (id: string, version = 1, title = id) =>
  ({ id, title, version, updated_at: '2026-01-01T00:00:00Z' }) as Session;
const message = (id: string, fields: Partial<Message> = {}): Message => ({
  ...blankMessage({ id, session_id: 's', role: 'user', seq: 0, version: 1 }),
  ...fields,
});
const changes = <T>(version: number, items: T[], deleted: string[] = []) => ({ version, items, deleted });

describe('the list of chats', () => {
  const titles = (p: ReturnType<typeof page>) => selectSessions(p.store.getState()).map((s) => s.title);

  async function loaded() {
    const p = page();
    p.dispatch(loadSessions());
    await p.calls[0].answer(changes(5, [session('a'), session('b')]));
    return p;
  }

  it('is asked again for what came while it was loaded', async () => {
    const p = page();
    p.dispatch(loadSessions());
    p.got({ type: 'session', user_version: 9, session: session('new') });
    expect(p.calls).toHaveLength(1);
    await p.calls[0].answer(changes(8, [session('a')]));
    expect(p.calls[1].path).toBe('GET /sessions?after_version=8');
    await p.calls[1].answer(changes(9, [session('new')]));
    expect(titles(p)).toContain('new');
    expect(p.calls).toHaveLength(2);
  });

  it('is asked again for what came while its changes were loaded', async () => {
    const p = await loaded();
    p.got({ type: 'session', user_version: 8, session: session('c') });
    expect(p.calls[1].path).toBe('GET /sessions?after_version=5');
    p.got({ type: 'session', user_version: 10, session: session('d') });
    expect(p.calls).toHaveLength(2);
    await p.calls[1].answer(changes(8, [session('c')]));
    expect(p.calls[2].path).toBe('GET /sessions?after_version=8');
  });

  it('takes the next change while it is loaded', async () => {
    const p = await loaded();
    p.dispatch(loadSessions());
    p.got({ type: 'session', user_version: 6, session: session('c') });
    await p.calls[1].answer(changes(5, []));
    expect(titles(p)).toContain('c');
    expect(p.store.getState().sessions.version).toBe(6);
    expect(p.calls).toHaveLength(2);
  });

  it('brings nothing back when two loads are answered the other way round', async () => {
    const p = await loaded();
    p.dispatch(loadSessions());
    p.dispatch(loadSessions());
    await p.calls[2].answer(changes(8, [session('b', 3, 'newer')], ['a']));
    await p.calls[1].answer(changes(7, [session('a', 2), session('b', 2, 'older')]));
    expect(titles(p)).toEqual(['newer']);
    expect(p.store.getState().sessions.version).toBe(8);
    expect(p.calls).toHaveLength(3);
  });

  it('does not take the whole list for the changes', async () => {
    const p = page();
    p.dispatch(loadSessions());
    p.dispatch(loadSessions());
    await p.calls[0].answer(changes(7, [session('a'), session('b')]));
    await p.calls[1].answer(changes(8, [session('b')])); // all of it: a is deleted
    expect(p.store.getState().sessions.version).toBe(7);
    expect(p.calls[2].path).toBe('GET /sessions?after_version=7');
  });

  it('is not asked again and again when it is refused', async () => {
    const p = await loaded();
    p.got({ type: 'version', user_id: 'u', version: 8 });
    await p.calls[1].refuse();
    p.got({ type: 'presence', session_id: 's', viewers: 1 });
    expect(p.calls).toHaveLength(2);
    p.got({ type: 'version', user_id: 'u', version: 8 });
    expect(p.calls[2].path).toBe('GET /sessions?after_version=5');
  });

  it('keeps out what was deleted, whatever is answered late', async () => {
    const p = await loaded();
    p.dispatch(loadSessions());
    p.dispatch(updateSession({ id: 'a', patch: { title: 'renamed' } }));
    p.dispatch(deleteSession('a'));
    await p.calls[3].answer(undefined);
    expect(titles(p)).toEqual(['b']);
    await p.calls[1].answer(changes(7, [session('a', 4)]));
    await p.calls[2].answer(session('a', 4, 'renamed'));
    expect(titles(p)).toEqual(['b']);
  });

  it('keeps the newer of two changes to a chat', async () => {
    const p = await loaded();
    p.dispatch(updateSession({ id: 'a', patch: { title: 'first' } }));
    p.dispatch(updateSession({ id: 'a', patch: { title: 'second' } }));
    await p.calls[2].answer(session('a', 3, 'second'));
    await p.calls[1].answer(session('a', 2, 'first'));
    expect(titles(p)).toContain('second');
  });
});

describe('a chat', () => {
  const chat = (p: ReturnType<typeof page>) => p.store.getState().chat;
  const there = (p: ReturnType<typeof page>, id: string) => selectMessage(p.store.getState(), id) !== undefined;

  async function loaded() {
    const p = page();
    p.dispatch(loadMessages('s'));
    await p.calls[0].answer(changes(5, [message('a'), message('b')]));
    return p;
  }

  it('brings no deleted message back when two loads are answered the other way round', async () => {
    const p = await loaded();
    p.dispatch(loadMessages('s'));
    p.dispatch(loadMessages('s'));
    await p.calls[2].answer(changes(8, [], ['a']));
    await p.calls[1].answer(changes(7, [message('a', { version: 7 })]));
    expect(there(p, 'a')).toBe(false);
    expect(chat(p).versions.s).toBe(8);
  });

  it('is not read twice in one when its first loads are answered one after the other', async () => {
    const p = page();
    p.dispatch(arrived({ page: 'chats', session: 's', tab: '' }));
    p.dispatch(loadMessages('s'));
    p.dispatch(loadMessages('s'));
    await p.calls[0].answer(changes(7, [message('a'), message('b')]));
    await p.calls[1].answer(changes(8, [message('b')])); // all of it: a is deleted
    expect(chat(p).versions.s).toBe(7);
    expect(p.calls[2].path).toBe('GET /sessions/s/messages?after_version=7');
    await p.calls[2].answer(changes(8, [], ['a']));
    expect(there(p, 'a')).toBe(false);
  });

  it('that was dropped while its changes were read is not loaded with them alone', async () => {
    const p = await loaded();
    p.dispatch(loadMessages('s'));
    for (const other of ['c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8'])
      p.dispatch(loadMessages.fulfilled(changes(1, [message(`in ${other}`, { session_id: other })]), '', other));
    expect(chat(p).versions.s).toBeUndefined();
    await p.calls[1].answer(changes(6, [message('c')]));
    expect(chat(p).versions.s).toBeUndefined();
    expect(there(p, 'c')).toBe(false);
  });

  it('keeps out a message that was deleted while it was read', async () => {
    const p = page();
    p.dispatch(loadMessages('s'));
    p.got({ type: 'message_deleted', version: 8, session_id: 's', message_id: 'a' });
    await p.calls[0].answer(changes(7, [message('a'), message('b')]));
    p.got({ type: 'message', version: 8, message: message('a') });
    expect(there(p, 'a')).toBe(false);
    expect(there(p, 'b')).toBe(true);
  });

  it('that was deleted while it was read stays away', async () => {
    const p = page();
    p.dispatch(loadMessages('s'));
    p.got({ type: 'session_deleted', user_version: 2, session_id: 's' });
    await p.calls[0].answer(changes(7, [message('a')]));
    expect(there(p, 'a')).toBe(false);
    expect(chat(p).missing.s).toBe(true);
  });

  it('takes changes that were asked for before others came', async () => {
    const p = await loaded();
    p.dispatch(loadMessages('s'));
    p.got({ type: 'message', version: 6, message: message('c') });
    await p.calls[1].answer(changes(7, [message('c'), message('d')]));
    expect(there(p, 'd')).toBe(true);
    expect(chat(p).versions.s).toBe(7);
  });
});

describe('what is read whole', () => {
  const price = (input: number) => ({ model: 'm', input, cached_input: 0, output: 0, custom: true });
  const items = (...list: unknown[]) => ({ items: list });
  const usage = { by: 'model', days: 7, everyone: false } as const;
  const reads: [string, () => unknown, (s: RootState) => unknown, (...list: unknown[]) => unknown][] = [
    ['models', loadModels, (s) => s.models.items, items],
    ['limits', loadLimits, (s) => s.limits.known, (x) => x],
    ['settings', loadSettings, (s) => s.settings.mine, (x) => x],
    ['endpoints', loadEndpoints, (s) => s.settings.endpoints, items],
    ['prices', loadPrices, (s) => s.settings.prices, items],
    ['usage', () => loadUsage(usage), (s) => selectUsage(s, usage), items],
    ['warnings', loadWarnings, (s) => s.settings.warnings, items],
  ];
  for (const [name, load, select, body] of reads) {
    it(`${name}: an answer that is late changes nothing`, async () => {
      const p = page();
      p.dispatch(load() as never);
      p.dispatch(load() as never);
      await p.calls[1].answer(body({ id: 'new' }));
      await p.calls[0].answer(body({ id: 'old' }));
      expect(JSON.stringify(select(p.store.getState()))).toContain('new');
    });

    it(`${name}: a refusal that is late changes nothing`, async () => {
      const p = page();
      p.dispatch(load() as never);
      p.dispatch(load() as never);
      await p.calls[1].answer(body({ id: 'new' }));
      const before = p.store.getState();
      await p.calls[0].refuse();
      expect(p.store.getState()).toEqual(before);
    });
  }

  it('a change counts, and what was read before it does not', async () => {
    const p = page();
    p.dispatch(loadPrices());
    p.dispatch(putPrice(price(2)));
    p.dispatch(loadPrices());
    await p.calls[1].answer(undefined);
    await p.calls[2].answer(items(price(1))); // read before the price was written
    await p.calls[3].answer(items(price(2)));
    await p.calls[0].answer(items(price(1)));
    expect(p.store.getState().settings.prices).toEqual([price(2)]);
  });

  it('the later of two changes counts', async () => {
    const p = page();
    p.dispatch(saveSettings({ system_prompt: 'first' }));
    p.dispatch(saveSettings({ system_prompt: 'second' }));
    await p.calls[1].answer({ system_prompt: 'second', fallback_model: '' });
    await p.calls[0].answer({ system_prompt: 'first', fallback_model: '' });
    expect(p.store.getState().settings.mine?.system_prompt).toBe('second');
  });

  it('a change that fails leaves what was read', async () => {
    const p = page();
    p.dispatch(loadPrices());
    await p.calls[0].answer(items(price(1)));
    vi.mocked(p.api.json).mockRejectedValueOnce(new Error('away'));
    await p.dispatch(deletePrice('m'));
    expect(p.store.getState().settings.prices).toEqual([price(1)]);
  });
});

describe('after a logout', () => {
  const usage = { by: 'model', days: 7, everyone: false } as const;
  const loads: [string, () => unknown, unknown][] = [
    ['the list of chats', loadSessions, changes(5, [session('a')])],
    ['a chat', () => loadMessages('s'), changes(5, [message('a')])],
    ['models', loadModels, { items: [{ id: 'mine' }] }],
    ['limits', loadLimits, { file_bytes: 1 }],
    ['settings', loadSettings, { system_prompt: 'mine' }],
    ['providers', loadEndpoints, { items: [{ name: 'mine' }] }],
    ['prices', loadPrices, { items: [{ model: 'mine' }] }],
    ['warnings', loadWarnings, { items: [{ code: 'mine' }] }],
    ['usage', () => loadUsage(usage), { items: [{ key: 'mine' }] }],
  ];
  for (const how of ['answer', 'refuse'] as const) {
    it.each(loads)(`nobody sees what was asked before it: %s, ${how}`, async (_, load, body) => {
      const p = page();
      const login = new AbortController();
      vi.spyOn(p.api, 'login', 'get').mockImplementation(() => login.signal);
      p.dispatch(load() as never);
      login.abort();
      vi.spyOn(p.api, 'login', 'get').mockRestore();
      p.dispatch(loggedOut());
      const before = p.store.getState();
      await p.calls[0][how](body);
      expect(p.store.getState()).toEqual(before);
    });
  }

  it('the models of the one are not shown to the next', async () => {
    const p = page();
    p.dispatch(loadModels());
    await p.calls[0].answer({ items: [{ id: 'mine/m' }] });
    expect(p.store.getState().models.items).toHaveLength(1);
    p.dispatch(loggedOut());
    expect(p.store.getState().models.items).toEqual([]);
  });
});
