import AxeBuilder from '@axe-core/playwright';
import { type BrowserContext, expect, type Page, test } from '@playwright/test';

export const answer = (page: Page) => page.getByRole('article', { name: 'Assistant' }).last();
export const question = (page: Page) => page.getByRole('article', { name: 'You' }).last();
export const composer = (page: Page) => page.getByRole('textbox', { name: 'Message', exact: true });

export async function register(page: Page, url: string, name = 'ann'): Promise<void> {
  await page.goto(url);
  await page.getByRole('button', { name: 'Make an account' }).click();
  await page.getByLabel('Username').fill(name);
  await page.getByRole('textbox', { name: 'Password' }).fill('correct horse battery');
  await page.getByRole('button', { name: 'Register' }).click();
  await expect(composer(page)).toBeVisible();
}

export async function ask(page: Page, text: string): Promise<void> {
  await composer(page).fill(text);
  await composer(page).press('Enter');
}

/** Chooses a model for the open chat. */
export async function choose(page: Page, model: string): Promise<void> {
  await page.getByRole('button', { name: /^Model:/ }).click();
  await page.getByRole('textbox', { name: 'Search models' }).fill(model);
  await page.getByRole('option', { name: model }).first().click();
  await expect(page.getByRole('button', { name: `Model: ${model}` })).toBeVisible();
}

/** Fails the test on whatever the page complains of. */
export function watch(context: BrowserContext): string[] {
  const complaints: string[] = [];
  context.on('weberror', (e) => complaints.push(String(e.error())));
  context.on('console', (m) => {
    if (m.type() === 'error' && !/Failed to load resource|WebSocket connection|ERR_/.test(m.text()))
      complaints.push(m.text());
  });
  return complaints;
}

/** Waits until the answer has grown twice, and returns its text. */
export async function growing(page: Page): Promise<string> {
  await expect(answer(page).getByText('This is a demo').first()).toBeVisible(); // what only holds a place is not
  const first = (await answer(page).innerText()).length;
  await expect.poll(async () => (await answer(page).innerText()).length).toBeGreaterThan(first);
  return answer(page).innerText();
}

export async function axe(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')}`)).toEqual([]);
}

/** Looks at the page as everyone may: light and dark, wide and narrow. */
export async function everyWay(page: Page, name: string): Promise<void> {
  test.slow();
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 390]) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 800 });
      await page.evaluate(() => Promise.allSettled(document.getAnimations().map((a) => a.finished)));
      await page.screenshot({ path: `test-results/${name}-${colorScheme}-${width}.png` });
      await axe(page);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(wide).toBeLessThanOrEqual(0);
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
}
