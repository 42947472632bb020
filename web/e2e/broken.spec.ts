import { expect } from '@playwright/test';
import { answer, ask, composer, everyWay, register } from './page';
import { demo as test } from './test';

const SETTINGS = '**/assets/SettingsPage-*.js';
const MARKDOWN = '**/assets/Markdown-*.js';

test('a page older than its server is loaded again, once', async ({ page, server }) => {
  await register(page, server.url);
  let loads = 0;
  page.on('load', () => loads++);
  let gone = true;
  await page.route(SETTINGS, (route) => (gone ? route.fulfill({ status: 404 }) : route.continue()));
  page.once('load', () => {
    gone = false;
  });
  await page.getByRole('button', { name: 'ann', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Settings' }).click();
  await expect(page.getByRole('tab').first()).toBeVisible();
  expect(loads).toBe(1);

  // What stays missing is said in plain words, and not tried for ever.
  gone = true;
  await page.reload();
  await expect(page.getByRole('alert')).toContainText('Something went wrong on this page');
  await page.waitForTimeout(1000);
  expect(loads).toBe(2);
  await everyWay(page, 'broken');
  gone = false;
  await page.getByRole('button', { name: 'Reload' }).click();
  await expect(page.getByRole('tab').first()).toBeVisible();
});

test('with no server a missing part takes nothing else away', async ({ context, page, server }) => {
  await page.route(MARKDOWN, (route) => route.abort());
  await page.route(`${server.url}/`, (route) => (page.url() === 'about:blank' ? route.continue() : route.abort()));
  await register(page, server.url);
  await ask(page, 'Show me');
  await expect(answer(page).getByText('This is a demo').first()).toBeVisible();
  await expect(composer(page)).toBeVisible();
  await context.unrouteAll();
});
