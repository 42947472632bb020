import { expect } from '@playwright/test';
import { answer, ask, composer, question, register } from './page';
import { demo as test } from './test';

test('code and messages are copied where the browser has no clipboard, as over plain HTTP', async ({
  page,
  server,
}) => {
  await page.addInitScript(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
  await register(page, server.url);
  await ask(page, 'Copy me');
  await expect(answer(page)).toContainText('That is all there is.', { timeout: 40_000 });
  const pasted = async () => {
    await composer(page).fill('');
    await composer(page).press('ControlOrMeta+v');
    return composer(page).inputValue();
  };

  const block = answer(page).getByRole('figure').first();
  await block.getByRole('button', { name: 'Copy' }).click();
  await expect(block.getByRole('button', { name: 'Copied' })).toBeFocused();
  await expect(block.getByRole('status')).toHaveText('Copied');
  expect(await pasted()).toBe(await block.locator('pre').innerText());

  const foot = answer(page).getByRole('button', { name: 'Copy' }).last();
  await foot.click();
  await expect(answer(page).getByRole('status').last()).toHaveText('Copied');
  expect(await pasted()).toContain('```');

  await question(page).getByRole('button', { name: 'Copy' }).click();
  await expect(question(page).getByRole('status')).toHaveText('Copied');
  expect(await pasted()).toBe('Copy me');
});

test.describe('on touch', () => {
  test.use({ hasTouch: true, isMobile: true, viewport: { width: 390, height: 800 } });
  test('the Copy of a code block can be hit, and nothing moves', async ({ page, server }) => {
    await register(page, server.url);
    await ask(page, 'Copy me');
    await expect(answer(page)).toContainText('That is all there is.', { timeout: 40_000 });
    const block = answer(page).getByRole('figure').first();
    const copy = block.getByRole('button');
    const size = await copy.boundingBox();
    expect(size?.height).toBeGreaterThanOrEqual(44);
    expect(size?.width).toBeGreaterThanOrEqual(44);
    const before = await block.boundingBox();
    await copy.tap();
    await expect(copy).toHaveText('Copied');
    await block.screenshot({ path: 'test-results/copied-390.png' });
    expect((await copy.boundingBox())?.width).toBe(size?.width);
    expect((await block.boundingBox())?.height).toBe(before?.height);
  });
});
