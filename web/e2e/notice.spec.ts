import { expect } from '@playwright/test';
import { answer, ask, choose, everyWay, register } from './page';
import { test } from './test';

test('what was asked for and did not happen is said', async ({ page, server }) => {
  await register(page, server.url);
  await choose(page, 'gpt-5');
  await ask(page, 'Please think');
  await expect(answer(page).getByRole('button', { name: /^Thinking/ })).toBeVisible();
  const refusal = { status: 503, contentType: 'application/problem+json', body: '{"code":"unavailable","detail":"x"}' };
  await page.route('**/chat/stream/*', (route) => route.fulfill(refusal));
  await page.route('**/sessions/*', (route) => route.fulfill(refusal));
  const notice = page.getByRole('alert');
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(notice).toContainText('The answer was not stopped');
  await expect(notice).toContainText('The server is busy or going away');
  await page.getByRole('button', { name: 'More for Please think' }).click();
  await page.getByRole('menuitem', { name: 'Rename' }).click();
  await page.getByRole('textbox', { name: 'Title' }).fill('Other');
  await page.getByRole('textbox', { name: 'Title' }).press('Enter');
  await expect(notice).toContainText('“Please think” was not renamed to “Other”');
  await page.getByRole('button', { name: 'More for Please think' }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await expect(notice).toContainText('“Please think” was not deleted');
  await expect(page.getByRole('dialog')).toBeHidden();
  await everyWay(page, 'notice');
  await notice.getByRole('button', { name: 'Close' }).click();
  await expect(notice).toBeHidden();

  // It goes by itself once something else succeeds.
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(notice).toBeVisible();
  await page.unrouteAll();
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(notice).toBeHidden();
  await expect(answer(page)).toContainText('Stopped');
});
