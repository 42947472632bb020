import { expect, type Page } from '@playwright/test';
import { answer, ask, choose, register } from './page';
import { test } from './test';

test.beforeEach(async ({ page, server }) => {
  await register(page, server.url);
  await choose(page, 'gpt-5');
});

const log = (page: Page) => page.getByRole('log');
const latest = (page: Page) => page.getByRole('button', { name: 'Scroll to latest' });
const top = (page: Page) => log(page).evaluate((s) => s.scrollTop);
const height = (page: Page) => log(page).evaluate((s) => s.scrollHeight);
const left = (page: Page) => log(page).evaluate((s) => s.scrollHeight - s.scrollTop - s.clientHeight);

/** Waits until the answer is longer by some lines. */
async function grown(page: Page): Promise<void> {
  const before = await height(page);
  await expect.poll(() => height(page)).toBeGreaterThan(before + 150);
}

test('any scroll up stops following at once, and the end or the button resumes it', async ({ page, provider }) => {
  await ask(page, 'Tell a story');
  await expect(answer(page)).toContainText('Part 20 ');
  expect(await left(page)).toBeLessThan(2);
  await expect(latest(page)).toBeHidden();

  const ways = {
    key: () => page.keyboard.press('ArrowUp'),
    page: () => page.keyboard.press('PageUp'),
    scrollbar: () => log(page).evaluate((s) => s.scrollBy(0, -7)),
    wheel: () => page.mouse.wheel(0, -30),
  };
  await log(page).hover();
  for (const [name, up] of Object.entries(ways)) {
    await log(page).focus();
    await up();
    await expect(latest(page), name).toBeVisible();
    await page.waitForTimeout(300); // a scroll may be smooth
    const at = await top(page);
    await grown(page);
    expect(await top(page), name).toBe(at);

    if (name === 'page') await page.keyboard.press('End');
    else await latest(page).click();
    await expect(latest(page)).toBeHidden();
    await grown(page);
    expect(await left(page), name).toBeLessThan(2);
  }
  provider.release();
});

test('what is read stays while what is above it gets its height', async ({ page }) => {
  for (let n = 1; n <= 8; n++) {
    await ask(page, `An epic, part ${n}`);
    await expect(answer(page).getByRole('button', { name: 'Regenerate' })).toBeVisible();
    await expect(page.getByRole('article', { name: 'Assistant' })).toHaveCount(n);
  }
  await page.reload();
  await expect(log(page).locator('p')).toHaveCount(8 * 30);
  await expect.poll(() => left(page)).toBeLessThan(2);
  for (let step = 0; step < 12; step++) {
    const moved = await log(page).evaluate(async (s) => {
      const frames = async (n: number) => {
        for (; n > 0; n--) await new Promise(requestAnimationFrame);
      };
      s.scrollTop -= 300;
      await frames(2);
      const line = s.getBoundingClientRect().top + 200;
      const read = [...s.querySelectorAll('article')].find((a) => a.getBoundingClientRect().bottom > line);
      const end = () => read?.getBoundingClientRect().bottom ?? 0;
      const was = end();
      await frames(6);
      return Math.abs(end() - was);
    });
    expect(moved).toBeLessThan(2);
  }
});

test('another version in the middle is read where it stands', async ({ page }) => {
  await ask(page, 'An epic');
  await answer(page).getByRole('button', { name: 'Regenerate' }).click();
  await expect(answer(page).getByText('2/2')).toBeVisible();
  await ask(page, 'And then?');
  await expect(page.getByRole('article')).toHaveCount(4);
  await expect(answer(page)).toContainText('Answer of');
  const versions = page.getByRole('article', { name: 'Assistant' }).first();
  await versions.getByRole('button', { name: 'Previous version' }).click();
  await expect(page.getByRole('article')).toHaveCount(2);
  await page.waitForTimeout(300);
  const at = (await versions.boundingBox())?.y;
  await versions.getByRole('button', { name: 'Next version' }).click();
  await expect(page.getByRole('article')).toHaveCount(4);
  await page.waitForTimeout(300);
  expect((await versions.boundingBox())?.y).toBe(at);
  await expect(latest(page)).toBeVisible();
});
