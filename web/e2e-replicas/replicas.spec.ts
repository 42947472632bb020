import { type BrowserContext, expect, type Page, test } from '@playwright/test';

const url = process.env.OMNICHAT_URL ?? '';
const whole = Array.from({ length: 1500 }, (_, i) => `t${i}`).join(' ');

const answer = (page: Page) => page.getByRole('article', { name: 'Assistant' }).last();
const composer = (page: Page) => page.getByRole('textbox', { name: 'Message', exact: true });
const text = async (page: Page) => (await answer(page).locator('p').first().innerText()).replace(/\s+/g, ' ').trim();

/** Collects every alert that any page shows, however shortly. */
async function alerts(context: BrowserContext): Promise<string[]> {
  const seen: string[] = [];
  await context.exposeFunction('alertSeen', (text: string) => seen.push(text));
  await context.addInitScript(() => {
    const told = new Set<string>();
    const tell = (text: string) => {
      if (told.has(text)) return;
      told.add(text);
      (window as unknown as { alertSeen: (text: string) => void }).alertSeen(text);
    };
    new MutationObserver(() => {
      for (const alert of document.querySelectorAll('[role="alert"]')) tell(alert.textContent ?? '');
      const error = /cannot be reached|went wrong|going away/.exec(document.body?.textContent ?? '');
      if (error) tell(error[0]);
    }).observe(document, { subtree: true, childList: true, characterData: true });
  });
  return seen;
}

test('replicas are replaced, and no page shows an error or misses a word', async ({ page, context }) => {
  const seen = await alerts(context);
  await page.goto(url);
  await page.getByRole('button', { name: 'Make an account' }).click();
  await page.getByLabel('Username').fill('ann');
  await page.getByRole('textbox', { name: 'Password' }).fill('correct horse battery');
  await page.getByRole('button', { name: 'Register' }).click();
  await expect(composer(page)).toBeVisible();

  for (const question of ['One?', 'Two?']) {
    await composer(page).fill(question);
    await composer(page).press('Enter');
    await expect(answer(page)).toContainText('t5 ', { timeout: 15_000 });
    const second = await context.newPage();
    await second.goto(page.url());
    for (const p of [page, second]) {
      await expect.poll(() => text(p), { timeout: 60_000 }).toBe(whole);
    }
    await second.close();
  }
  expect(seen).toEqual([]);
});
