import { expect, type Page } from '@playwright/test';
import { answer, ask, choose, composer, register } from './page';
import { test } from './test';

test.beforeEach(async ({ page, server }) => {
  await register(page, server.url);
  await choose(page, 'gpt-5');
});

/** Holds questions on their way to the server until they are let go. */
async function slowly(page: Page): Promise<() => void> {
  let go = () => {};
  const gone = new Promise<void>((done) => {
    go = done;
  });
  await page.route('**/chat/stream', async (route) => {
    await gone;
    await route.fallback();
  });
  return go;
}

test('what is written while a new chat is made goes along into it', async ({ page }) => {
  const go = await slowly(page);
  await ask(page, 'The first question');
  await expect(page.getByText('The first question')).toBeVisible();
  await page.evaluate(() => {
    new MutationObserver(() => {
      if (document.body.innerText.includes('What can I help with?')) document.body.dataset.flashed = 'yes';
    }).observe(document.body, { childList: true, subtree: true });
  });
  await composer(page).pressSequentially('And the next');
  await composer(page).press('Home');
  await page
    .getByLabel('Files', { exact: true })
    .setInputFiles([{ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('Remember the milk.') }]);
  const files = page.getByRole('list', { name: 'Files to send' });
  await expect(files).toContainText('notes.txt');
  go();
  await expect(page).toHaveURL(/\/c\//);
  await expect(answer(page)).toContainText('Answer of gpt-5');
  await expect(composer(page)).toHaveValue('And the next');
  await expect(composer(page)).toBeFocused();
  await expect(files).toContainText('notes.txt');
  await page.keyboard.type('> ');
  await expect(composer(page)).toHaveValue('> And the next');
  expect(await page.evaluate(() => document.body.dataset.flashed)).toBeUndefined();

  await page.reload();
  await expect(composer(page)).toHaveValue('> And the next');
  await expect(files).toContainText('notes.txt');
  await page.getByRole('button', { name: 'New chat' }).click();
  await expect(page.getByText('What can I help with?')).toBeVisible();
  await expect(composer(page)).toHaveValue('');
  await expect(files).toBeHidden();
});

test('a chat is left for a new one as soon as it has begun', async ({ page }) => {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: 4 }); // its address comes well after its answer
  await page.evaluate(() => {
    const seen = new MutationObserver(() => {
      if (!document.body.innerText.includes('Answer of gpt-5')) return;
      seen.disconnect();
      const fresh = [...document.querySelectorAll('button')].find((b) => b.textContent === 'New chat');
      fresh?.click();
    });
    seen.observe(document.body, { childList: true, subtree: true });
  });
  await ask(page, 'The first question');
  await expect(page.getByText('What can I help with?')).toBeVisible();
  await expect(page).toHaveURL(/\/$/);
  await ask(page, 'Another question');
  await expect(answer(page)).toContainText('Answer of gpt-5');
  await expect(page.getByText('The first question')).toHaveCount(1); // in the list of chats alone
});

test('a new chat calls nobody back who has gone to another', async ({ page }) => {
  await ask(page, 'The older chat');
  await expect(answer(page)).toContainText('Answer of gpt-5');
  await expect(page).toHaveURL(/\/c\//);
  const older = page.url();
  await page.getByRole('button', { name: 'New chat' }).click();
  await expect(page.getByText('What can I help with?')).toBeVisible();
  const go = await slowly(page);
  await ask(page, 'The younger chat');
  await page.getByRole('button', { name: 'The older chat', exact: true }).click();
  await expect(page).toHaveURL(older);
  await composer(page).fill('Not lost');
  go();
  await expect(page.getByRole('button', { name: 'The younger chat', exact: true })).toBeVisible();
  await page.waitForTimeout(500);
  expect(page.url()).toBe(older);
  await expect(composer(page)).toHaveValue('Not lost');
  await page.getByRole('button', { name: 'The younger chat', exact: true }).click();
  await expect(answer(page)).toContainText('Answer of gpt-5');
});
