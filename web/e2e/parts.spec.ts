import { expect, type WebSocketRoute } from '@playwright/test';
import { answer, ask, everyWay, register, tokenOf, watch } from './page';
import { test } from './test';

test('thoughts, text and calls stand in the order in which they came, and nothing jumps', async ({
  context,
  page,
  server,
}) => {
  const complaints = watch(context);
  let socket: WebSocketRoute | undefined;
  await page.routeWebSocket(/\/ws$/, (ws) => {
    ws.connectToServer();
    socket = ws;
  });
  await register(page, server.url);
  await ask(page, 'Is it cold?');
  await expect(answer(page)).toContainText('Answer of');
  const session = new URL(page.url()).pathname.replace('/c/', '');
  const headers = { Authorization: `Bearer ${await tokenOf(page, server.url)}` };
  const messages = await page.request.get(`${server.url}/sessions/${session}/messages`, { headers });
  const { items, version } = (await messages.json()) as { items: { id: string }[]; version: number };

  // Another answer, as a server with tools tells it.
  let seq = 0;
  const message_id = crypto.randomUUID();
  const tell = (...events: object[]) =>
    socket?.send(events.map((e) => JSON.stringify({ type: 'delta', message_id, seq: seq++, ...e })).join('\n'));
  const call = (id: string, status: string, more: object = {}) => ({
    text: '',
    call: {
      id,
      tool: `weather.${id}`,
      title: '',
      arguments: '{"city":"Oslo","days":[1,2]}',
      status,
      wait: null,
      result: null,
      error: null,
      started_at: '2026-01-01T00:00:00Z',
      ended_at: null,
      ...more,
    },
  });
  const line = (name: string | RegExp) => answer(page).getByRole('button', { name });
  /** How far below the beginning of the answer a call is. */
  const placeOf = async (name: string) => {
    const [call, all] = await Promise.all([line(name).boundingBox(), answer(page).boundingBox()]);
    return (call?.y ?? 0) - (all?.y ?? 0);
  };
  tell({ type: 'start', session_id: session, parent_id: items[0].id, model: 'openai/gpt-5', version: version + 1 });
  tell({ reasoning: 'The weather is what I need.' });
  await expect(line(/^Thinking/)).toBeVisible();
  tell({ text: 'Let me look at **the weather**.' }, call('now', 'writing', { arguments: '' }));
  await expect(line('Wants to call weather.now')).toHaveAttribute('aria-expanded', 'false');
  await expect(answer(page).getByText('the weather', { exact: true })).toBeVisible();
  const place = await placeOf('Wants to call weather.now');
  await line('Wants to call weather.now').press('Enter');
  tell({ text: '', call_id: 'now', arguments: '{"city":"Os' });
  await expect(answer(page).getByText(/"city": "Os$/)).toBeVisible(); // as it is being written
  tell(call('now', 'running'));
  await expect(line('Calling weather.now')).toHaveAttribute('aria-expanded', 'true');
  const result = { text: '{"degrees":-4}', bytes: 90_000, cut: true, attachments: [] };
  tell(call('now', 'done', { result, ended_at: '2026-01-01T00:00:02Z' }));
  await expect(answer(page).getByText('"degrees": -4')).toBeVisible();
  expect(await placeOf('Called weather.now')).toBe(place);
  tell({ reasoning: 'And tomorrow?' }, call('tomorrow', 'running'));
  const error = { code: 'tool_failed', detail: 'The forecast is not there today.' };
  tell(call('tomorrow', 'failed', { title: 'Forecast', error }));
  await line('Called Forecast · failed').click();
  await expect(answer(page).getByText(error.detail)).toBeVisible();
  tell({ text: '', notice: { code: 'continued', detail: '' } }, call('radar', 'running'), { text: 'It is **cold**.' });
  await expect(answer(page)).toContainText('It is cold.');
  await expect(answer(page)).toContainText('another one went on');
  const inOrder =
    /Thought for.*Let me look at the weather\..*Called weather\.now.*"degrees": -4.*Thought for.*Called Forecast · failed.*Calling weather\.radar.*It is cold\./s;
  await expect(answer(page)).toHaveText(inOrder);
  await everyWay(page, 'parts');
  tell({ type: 'finish', reason: 'stop', error: null, usage: null });
  await expect(answer(page).getByRole('button', { name: 'Copy', exact: true })).toBeVisible();
  await expect(line('Calling weather.radar · no result')).toBeVisible();
  expect(complaints).toEqual([]);
});
