import AxeBuilder from '@axe-core/playwright';
import { type BrowserContext, expect, type Page, test } from '@playwright/test';
import { layoutFaults } from './layout';

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

/** What ann, the first user, signs in with. */
export async function tokenOf(page: Page, url: string): Promise<string> {
  const form = { username: 'ann', password: 'correct horse battery' };
  const made = (await (await page.request.post(`${url}/token`, { form })).json()) as { access_token: string };
  return made.access_token;
}

/** Sets what a model costs, as the admin. */
export async function price(page: Page, url: string, model: string, cost: object): Promise<void> {
  const headers = { Authorization: `Bearer ${await tokenOf(page, url)}` };
  const set = await page.request.put(`${url}/prices/${encodeURIComponent(model)}`, { headers, data: cost });
  expect(set.ok()).toBe(true);
}

export async function ask(page: Page, text: string): Promise<void> {
  await composer(page).fill(text);
  const touch = await page.evaluate(() => matchMedia('(pointer: coarse)').matches); // there Enter breaks the line
  if (touch) await page.getByRole('button', { name: 'Send', exact: true }).tap();
  else await composer(page).press('Enter');
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

/** What axe finds: all of it, or what depends on the colours alone. */
async function violations(page: Page, rules: 'all' | 'contrast'): Promise<string[]> {
  const builder = new AxeBuilder({ page }).options({ resultTypes: ['violations'] }).setLegacyMode();
  if (rules === 'contrast') builder.withRules('color-contrast');
  const found = (await builder.analyze()).violations;
  return found.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')}`);
}

export async function axe(page: Page): Promise<void> {
  expect(await violations(page, 'all')).toEqual([]);
}

export type Size = readonly [width: number, height: number];

/** Looks at the page as everyone may: in each size, light and dark. The dark page differs in its colours alone. */
export async function everyWay(
  page: Page,
  name: string,
  sizes: readonly Size[] = [
    [1280, 800],
    [390, 844],
  ],
): Promise<void> {
  test.slow();
  const first = page.viewportSize();
  for (const [width, height] of sizes) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.evaluate(() => Promise.allSettled(document.getAnimations().map((a) => a.finished)));
      await page.screenshot({ path: `test-results/${name}-${colorScheme}-${width}.png` });
      const how = `${name}, ${width}x${height}, ${colorScheme}`;
      if (colorScheme === 'light') expect.soft(await layoutFaults(page), how).toEqual([]);
      if (height < 500) break; // as it was in the size before, but lower
      expect.soft(await violations(page, colorScheme === 'light' ? 'all' : 'contrast'), how).toEqual([]);
      if (width < 1000) break; // the colours are the same in all widths
    }
  }
  if (first) await page.setViewportSize(first);
}
