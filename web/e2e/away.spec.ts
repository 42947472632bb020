import { expect } from '@playwright/test';
import { answer, ask, choose, composer, register } from './page';
import { test } from './test';

test.beforeEach(async ({ page, server }) => {
  await register(page, server.url);
  await choose(page, 'gpt-5');
  await ask(page, 'The first question, with a title that is longer than the list is wide');
  await expect(answer(page)).toContainText('Answer of gpt-5');
});

test('a server that is away for a while at load is waited for', async ({ page }) => {
  const refused = new Set<string>();
  await page.route(/\/(token|sessions\?|sessions\/[^/]+\/messages|models|config\.json)/, async (route) => {
    const call = new URL(route.request().url()).pathname;
    if (refused.has(call)) return route.fallback();
    refused.add(call);
    await route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"code":"unavailable"}' });
  });
  await page.reload();
  await expect(answer(page)).toContainText('Answer of gpt-5');
  await expect(page.getByRole('button', { name: /^The first question/ }).first()).toBeVisible();
  expect(refused.size).toBeGreaterThan(3);
});

test('a question asked before the chat is there follows its newest message', async ({ page }) => {
  let open = () => {};
  const opened = new Promise<void>((done) => {
    open = done;
  });
  await page.route(/\/sessions\/[^/]+\/messages/, async (route) => {
    await opened;
    await route.fallback();
  });
  await page.reload();
  const request = page.waitForRequest((r) => r.method() === 'POST' && r.url().endsWith('/chat/stream'));
  await ask(page, 'The second question');
  const sent = await request;
  expect(sent.postDataJSON()).not.toHaveProperty('parent_id');
  open();
  await expect(page.getByRole('article', { name: 'You' })).toHaveCount(2);
  await expect(page.getByRole('article', { name: 'You' }).first()).toContainText('The first question');
});

test('what can be done with a message and a chat is seen and reached', async ({ page }) => {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    for (const name of ['Copy', 'Regenerate']) {
      const button = answer(page).getByRole('button', { name });
      const [icon, paper] = await button.evaluate((b) => [
        getComputedStyle(b).color,
        getComputedStyle(document.body).backgroundColor,
      ]);
      expect(icon).not.toBe(paper);
    }
  }
  const list = await page.getByRole('navigation', { name: 'Chats' }).boundingBox();
  const more = await page.getByRole('button', { name: /^More for The first/ }).boundingBox();
  expect((more?.x ?? 999) + (more?.width ?? 999)).toBeLessThanOrEqual((list?.x ?? 0) + (list?.width ?? 0));
  await expect(composer(page)).toBeVisible();
});
