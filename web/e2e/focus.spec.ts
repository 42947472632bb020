import { expect, type Page } from '@playwright/test';
import { answer, ask, axe, choose, composer, question, register } from './page';
import { test } from './test';

test.beforeEach(async ({ page, server }) => {
  await register(page, server.url);
  await choose(page, 'gpt-5');
});

const chat = (page: Page, name: string) => page.getByRole('button', { name, exact: true });

test('the focus goes on to what comes next in a conversation', async ({ page }) => {
  await composer(page).fill('Tell a story');
  await page.getByRole('button', { name: 'Send' }).click();
  await expect(composer(page)).toBeFocused();
  await expect(answer(page)).toContainText('Part 2 ');
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(answer(page)).toContainText('Stopped.');
  await expect(composer(page)).toBeFocused();

  const edit = question(page).getByRole('button', { name: 'Edit' });
  const box = page.getByRole('textbox', { name: 'Edit message' });
  await edit.click();
  await box.press('Escape');
  await expect(edit).toBeFocused();
  await edit.click();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(edit).toBeFocused();
  await edit.click();
  await box.fill('A short question');
  await page.getByRole('button', { name: 'Send', exact: true }).first().click();
  await expect(answer(page)).toContainText('Answer of gpt-5');
  await expect(composer(page)).toBeFocused();

  await answer(page).getByRole('button', { name: 'Regenerate' }).click();
  await expect(answer(page).getByText('2/2')).toBeVisible();
  await expect(composer(page)).toBeFocused();

  // Through the versions by keyboard, to their ends and back.
  await answer(page).getByRole('button', { name: 'Previous version' }).focus();
  await page.keyboard.press('Enter');
  await expect(answer(page).getByText('1/2')).toBeVisible();
  await expect(answer(page).getByRole('button', { name: 'Previous version' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(answer(page).getByText('1/2')).toBeVisible();
  await axe(page);
  await answer(page).getByRole('button', { name: 'Next version' }).press('Enter');
  await expect(answer(page).getByText('2/2')).toBeVisible();
  await expect(answer(page).getByRole('button', { name: 'Next version' })).toBeFocused();
});

test('the focus stays in the list of chats when one is renamed or deleted', async ({ page }) => {
  for (const name of ['First', 'Second', 'Third']) {
    await page.getByRole('button', { name: 'New chat' }).click();
    await ask(page, name);
    await expect(answer(page)).toContainText('Answer of gpt-5');
    await expect(chat(page, name)).toBeVisible();
  }
  const menu = async (name: string, item: string) => {
    await page.getByRole('button', { name: `More for ${name}` }).click();
    await page.getByRole('menuitem', { name: item }).click();
  };
  const title = page.getByRole('textbox', { name: 'Title' });
  await menu('Second', 'Rename');
  await title.press('Escape');
  await expect(chat(page, 'Second')).toBeFocused();
  await menu('Second', 'Rename');
  await title.fill('Middle');
  const at = await page.evaluate(() => location.pathname);
  await title.press('Enter');
  expect(await page.evaluate(() => location.pathname)).toBe(at); // the key opens nothing
  await expect(chat(page, 'Middle')).toBeFocused();

  await menu('Middle', 'Delete');
  await page.keyboard.press('Escape');
  await expect(page.getByRole('button', { name: 'More for Middle' })).toBeFocused();
  const remove = page.getByRole('dialog').getByRole('button', { name: 'Delete' });
  await menu('Middle', 'Delete');
  await remove.click();
  await expect(chat(page, 'Middle')).toBeHidden();
  await expect(page.getByRole('dialog')).toBeHidden();
  await expect(chat(page, 'First')).toBeFocused();
  for (const [name, next] of [
    ['First', chat(page, 'Third')],
    ['Third', page.getByRole('button', { name: 'New chat' }).first()],
  ] as const) {
    await menu(name, 'Delete');
    await remove.click();
    await expect(page.getByRole('dialog')).toBeHidden();
    await expect(next).toBeFocused();
  }
});

test('on a phone the list of chats is out of the way, or has the focus', async ({ page }) => {
  await ask(page, 'The first question');
  await expect(answer(page)).toContainText('Answer of gpt-5');
  await expect(page).toHaveTitle('The first question · OmniChat');
  await page.setViewportSize({ width: 390, height: 800 });
  const opener = page.getByRole('button', { name: 'Chats' });
  const chats = page.locator('.mantine-AppShell-navbar');
  await expect(chats).toHaveJSProperty('inert', true);
  for (let n = 0; n < 25; n++) {
    await page.keyboard.press('Tab');
    expect(await chats.evaluate((c) => c.contains(document.activeElement))).toBe(false);
  }
  await opener.press('Enter');
  await expect(page.getByRole('button', { name: 'Close' })).toBeFocused();
  await expect(page.getByRole('main')).toHaveJSProperty('inert', true);
  await axe(page);
  await page.screenshot({ path: 'test-results/chats-390.png' });

  // Esc is for what is open in it first.
  await page.getByRole('button', { name: /^More for/ }).click();
  await expect(page.getByRole('menuitem', { name: 'Rename' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('menuitem')).toHaveCount(0);
  await expect(chats).toHaveJSProperty('inert', false);
  await page.keyboard.press('Escape');
  await expect(opener).toBeFocused();
  await expect(chats).toHaveJSProperty('inert', true);

  await opener.click();
  await page.getByRole('button', { name: 'ann', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Log out' }).click();
  await expect(page.getByRole('button', { name: 'Log in' })).toBeVisible();
  await expect(page).toHaveTitle('OmniChat');
});

test.describe('on touch', () => {
  test.use({ hasTouch: true, isMobile: true, viewport: { width: 390, height: 800 } });
  test('no keyboard rises for an answer made anew', async ({ page }) => {
    await composer(page).fill('Where am I?');
    await page.getByRole('button', { name: 'Send' }).tap();
    await expect(answer(page)).toContainText('Answer of');
    await answer(page).getByRole('button', { name: 'Regenerate' }).tap();
    await expect(answer(page).getByText('2/2')).toBeVisible();
    await expect(composer(page)).not.toBeFocused();
  });
});
