import { expect, type Locator } from '@playwright/test';
import { answer, ask, choose, composer, question, register } from './page';
import { test } from './test';

const place = async (what: Locator) => (await what.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };

test.beforeEach(async ({ page, server }) => {
  await register(page, server.url);
  await choose(page, 'gpt-5');
});

test('a list in a list takes no more room than its items', async ({ page }) => {
  await ask(page, 'Show everything');
  const top = async (text: string) => {
    const item = answer(page).getByRole('listitem').filter({ hasText: text }).last();
    return item.evaluate((li) => {
      const range = document.createRange();
      range.selectNodeContents(li);
      return range.getClientRects()[0].top;
    });
  };
  await expect(answer(page).getByRole('listitem').first()).toBeVisible();
  const flat = (await top('Below')) - (await top('One'));
  expect((await top('Two')) - (await top('Deeper'))).toBeCloseTo(flat, 0);
});

test('what is opened, focused or at its end is seen as such', async ({ page }) => {
  await ask(page, 'The first question');
  await expect(answer(page)).toContainText('Answer of gpt-5');
  await answer(page).getByRole('button', { name: 'Regenerate' }).click();
  await expect(answer(page).getByText('2/2')).toBeVisible();
  const look = (name: string) =>
    answer(page)
      .getByRole('button', { name })
      .evaluate((b) => {
        const { backgroundColor, opacity } = getComputedStyle(b);
        return { backgroundColor, opacity: Number(opacity) };
      });
  expect(await look('Previous version')).toEqual({ backgroundColor: 'rgba(0, 0, 0, 0)', opacity: 1 });
  const end = await look('Next version');
  expect(end.backgroundColor).toBe('rgba(0, 0, 0, 0)');
  expect(end.opacity).toBeLessThan(0.6);

  await page.getByRole('button', { name: /^More for/ }).click();
  await page.getByRole('menuitem', { name: 'Rename' }).click();
  await page.getByRole('textbox', { name: 'Title' }).fill('Renamed');
  await page.keyboard.press('Enter');
  const row = page.getByRole('button', { name: 'Renamed', exact: true });
  await expect(row).toBeFocused();
  const cut = await row.evaluate((b) => {
    const { outlineWidth, outlineOffset } = getComputedStyle(b);
    const ring = Number.parseFloat(outlineWidth) + Number.parseFloat(outlineOffset);
    const [own, list] = [b, b.closest('nav') as Element].map((e) => e.getBoundingClientRect());
    return own.left - ring < list.left || own.right + ring > list.right;
  });
  expect(cut).toBe(false);

  await page.setViewportSize({ width: 1280, height: 600 });
  await composer(page).fill(`An epic\n${'in many lines\n'.repeat(12)}`);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await expect(answer(page)).toContainText('A part of what happened');
  await expect(answer(page).getByRole('button', { name: 'Regenerate' })).toBeVisible();
  // In a low window, the button is scrolled to just below the header.
  await page.setViewportSize({ width: 1280, height: 400 });
  const edit = question(page).getByRole('button', { name: 'Edit' });
  const log = page.getByRole('log');
  await expect(async () => {
    const below = (await place(edit)).y - (await place(log)).y;
    await log.evaluate((e, by) => e.scrollBy(0, by), below - 8);
    expect(Math.abs(below - 8)).toBeLessThan(4);
  }).toPass({ timeout: 20_000 });
  await edit.click();
  for (const part of [page.getByRole('textbox', { name: 'Edit message' }), question(page).getByText('Cancel')]) {
    await expect(part).toBeInViewport({ ratio: 1 });
    await page.waitForTimeout(200); // it stays so
    const [box, seen] = [await place(part), await place(log)];
    expect(box.y).toBeGreaterThanOrEqual(seen.y);
    expect(box.y + box.height).toBeLessThanOrEqual(seen.y + seen.height);
  }
  await page.keyboard.press('Escape');
  await expect(edit).toBeFocused();
});
