import { expect, test } from '@playwright/test';
import { answer, ask, composer, question, register } from './page';
import { FakeProvider } from './provider';
import { OmniChat } from './server';

let provider: FakeProvider;
let server: OmniChat;
test.beforeEach(async () => {
  provider = new FakeProvider();
  await provider.start();
  server = new OmniChat({ OPENAI_BASE_URL: provider.url, OPENAI_API_KEY: 'key', OMNICHAT_TITLE_MODEL: 'off' });
  await server.start();
});
test.afterEach(async () => {
  await server.remove();
  provider.close();
});

test('the focus has somewhere to go when what was pressed goes away', async ({ page }) => {
  await register(page, server.url);
  await ask(page, 'Where am I?');
  await expect(answer(page)).toContainText('Answer of');

  await answer(page).getByRole('button', { name: 'Regenerate' }).press('Enter');
  await expect(answer(page).getByText('2/2')).toBeVisible();
  await expect(composer(page)).toBeFocused();

  const edit = question(page).getByRole('button', { name: 'Edit' });
  const box = page.getByRole('textbox', { name: 'Edit message' });
  await edit.press('Enter');
  await expect(box).toBeFocused();
  await page.getByRole('button', { name: 'Cancel' }).press('Enter');
  await expect(edit).toBeFocused();
  await edit.press('Enter');
  await box.press('Escape');
  await expect(edit).toBeFocused();

  await edit.press('Enter');
  await box.fill('Where am I now?');
  await page.getByRole('button', { name: 'Send' }).first().press('Enter');
  await expect(question(page)).toContainText('Where am I now?');
  await expect(answer(page)).toContainText('Answer of');
  await expect(composer(page)).toBeFocused();
});

test.describe('on touch', () => {
  test.use({ hasTouch: true, isMobile: true, viewport: { width: 390, height: 800 } });
  test('no keyboard rises for an answer made anew', async ({ page }) => {
    await register(page, server.url);
    await composer(page).fill('Where am I?');
    await page.getByRole('button', { name: 'Send' }).tap();
    await expect(answer(page)).toContainText('Answer of');
    await answer(page).getByRole('button', { name: 'Regenerate' }).tap();
    await expect(answer(page).getByText('2/2')).toBeVisible();
    await expect(composer(page)).not.toBeFocused();
  });
});
