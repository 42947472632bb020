import { expect, type Page } from '@playwright/test';
import { answer, ask, choose, composer, register } from './page';
import { test } from './test';

test.beforeEach(async ({ page, server }) => {
  await register(page, server.url);
  await choose(page, 'gpt-5');
});

/** Counts what asks the server to stop an answer. */
function stops(page: Page): () => number {
  let n = 0;
  page.on('request', (r) => {
    if (r.method() === 'DELETE' && r.url().includes('/chat/stream/')) n++;
  });
  return () => n;
}

test('Esc closes what is open, and stops the answer only then, once', async ({ page }) => {
  const stopped = stops(page);
  await ask(page, 'Please think');
  await expect(answer(page).getByRole('button', { name: /^Thinking/ })).toBeVisible();
  const row = page.getByRole('button', { name: 'More for Please think' });
  const title = page.getByRole('textbox', { name: 'Title' });

  for (const reducedMotion of ['no-preference', 'reduce'] as const) {
    await page.emulateMedia({ reducedMotion });
    await page.getByRole('button', { name: 'Chat settings' }).click();
    await expect(page.getByRole('dialog', { name: 'Chat settings' })).toBeVisible();
    await page.keyboard.press('Escape');
    await expect(page.getByRole('dialog')).toHaveCount(0);

    for (const name of ['Attach', 'More for Please think']) {
      await page.getByRole('button', { name }).click();
      await expect(page.getByRole('menuitem').first()).toBeVisible();
      await page.keyboard.press('Escape');
      await expect(page.getByRole('menuitem')).toHaveCount(0);
    }

    await page.getByRole('button', { name: /^Model:/ }).click();
    await expect(page.getByRole('textbox', { name: 'Search models' })).toBeFocused();
    await page.keyboard.press('Escape');
    await expect(page.getByRole('option')).toHaveCount(0);

    await row.click();
    await page.getByRole('menuitem', { name: 'Rename' }).click();
    await title.fill('Not this');
    await title.press('Escape');
    await expect(title).toBeHidden();
    await expect(row).toBeVisible();
  }

  // A dialog that has only just opened has no focus yet.
  await page.getByRole('button', { name: 'Chat settings' }).evaluate(
    (button: HTMLElement) =>
      new Promise<void>((done) => {
        const opened = new MutationObserver(() => {
          if (!document.querySelector('[role="dialog"]')) return;
          opened.disconnect();
          document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
          done();
        });
        opened.observe(document.body, { childList: true, subtree: true });
        button.click();
      }),
  );
  await expect(page.getByRole('dialog')).toHaveCount(0);

  // An input method closes its list with it.
  const composed = { key: 'Escape', isComposing: true, keyCode: 229, bubbles: true };
  await composer(page).dispatchEvent('keydown', composed);
  await page.waitForTimeout(300);
  expect(stopped()).toBe(0);

  await composer(page).press('Escape');
  await expect(answer(page)).toContainText('Stopped.');
  await page.waitForTimeout(300);
  expect(stopped()).toBe(1);
});
