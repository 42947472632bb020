import { expect, type Page } from '@playwright/test';
import { answer, choose, composer, everyWay, question, type Size } from './page';
import { picture } from './picture';
import { test } from './test';

const NAME = `ann-${'w'.repeat(28)}`;
const PASSWORD = 'correct horse battery';
const LONG = 'long_words_without_an_end_'.repeat(7);

const devices: Record<string, { touch: boolean; sizes: Size[] }> = {
  desktop: { touch: false, sizes: [[1280, 800]] },
  phone: {
    touch: true,
    sizes: [
      [390, 844],
      [844, 390],
    ],
  },
};

/** Makes an account with thirty chats, and returns where the newest is. */
async function account(url: string): Promise<string> {
  const post = async (path: string, body: object | URLSearchParams, token = '') => {
    const form = body instanceof URLSearchParams;
    const res = await fetch(url + path, {
      method: 'POST',
      headers: { ...(form ? {} : { 'Content-Type': 'application/json' }), Authorization: `Bearer ${token}` },
      body: form ? body : JSON.stringify(body),
    });
    expect(res.ok, await res.clone().text()).toBe(true);
    return res.json();
  };
  const login = { username: NAME, password: PASSWORD };
  await post('/users', login);
  const { access_token } = await post('/token', new URLSearchParams({ grant_type: 'password', ...login }));
  let newest = '';
  for (let n = 1; n <= 30; n++) {
    const title = n % 5 === 0 ? `Chat ${n} ${LONG.slice(0, 100)}` : `Chat ${n}`;
    newest = (await post('/sessions', { title }, access_token)).id;
  }
  return `${url}/c/${newest}`;
}

test.use({ env: { OMNICHAT_TITLE_MODEL: 'off', OMNICHAT_DAILY_COST: '2' } });

for (const [device, { touch, sizes }] of Object.entries(devices)) {
  test.describe(`on a ${device}`, () => {
    test.use({
      viewport: { width: sizes[0][0], height: sizes[0][1] },
      hasTouch: touch,
      isMobile: touch,
      reducedMotion: 'reduce',
    } as object);

    test('every screen fits the window, and all of it can be reached and pressed', async ({
      page,
      provider,
      server,
    }) => {
      test.setTimeout(300_000);
      page.setDefaultTimeout(15_000);
      const look = (name: string) => everyWay(page, `${device}-${name}`, sizes);
      /** Opens the list of chats, which is always there on a wide page. */
      const chats = async () => {
        const list = page.locator('.mantine-AppShell-navbar');
        if (await list.evaluate((l) => (l as HTMLElement).inert))
          await page.getByRole('button', { name: 'Chats' }).click();
        await expect(list).toHaveJSProperty('inert', false);
      };
      provider.models.push(`${LONG}-model`, ...Array.from({ length: 12 }, (_, n) => `another-model-${n}`));
      const newest = await account(server.url);

      await page.goto(server.url);
      await expect(page.getByRole('button', { name: 'Log in' })).toBeVisible();
      await look('login');
      await page.getByRole('button', { name: 'Make an account' }).click();
      await look('register');
      await page.getByRole('button', { name: 'I have an account' }).click();
      await page.getByLabel('Username').fill(NAME);
      await page.getByRole('textbox', { name: 'Password' }).fill('not the password');
      await page.getByRole('button', { name: 'Log in' }).click();
      await expect(page.getByRole('alert')).toBeVisible();
      await look('refused');
      await page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD);
      await page.getByRole('button', { name: 'Log in' }).click();
      await expect(composer(page)).toBeVisible();
      await look('empty');

      await chats();
      await expect(page.getByRole('button', { name: 'Chat 1', exact: true })).toBeAttached();
      await look('chats');
      await page.getByRole('button', { name: NAME }).click();
      await expect(page.getByRole('menuitem', { name: 'Log out' })).toBeVisible();
      await look('account');
      await page.keyboard.press('Escape');
      await chats();
      const row = page.getByRole('button', { name: 'More for Chat 28' });
      await row.click();
      await page.getByRole('menuitem', { name: 'Delete' }).hover();
      await look('chat-menu');
      await page.getByRole('menuitem', { name: 'Rename' }).click();
      await look('rename');
      await page.keyboard.press('Escape');
      await chats();
      await row.click();
      await page.getByRole('menuitem', { name: 'Delete' }).click();
      await expect(page.getByRole('dialog')).toBeVisible();
      await look('delete');

      await page.goto(newest);
      await choose(page, 'gpt-5');
      await page.getByRole('button', { name: /^Model:/ }).click();
      await expect(page.getByRole('option').first()).toBeVisible();
      await look('picker');
      await page.getByRole('option', { name: LONG }).click();
      await look('long-model');
      await choose(page, 'gpt-5');
      await page.getByRole('button', { name: 'Attach' }).click();
      await expect(page.getByRole('menuitem').first()).toBeVisible();
      await look('attach');
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Chat settings' }).click();
      const settings = page.getByRole('dialog', { name: 'Chat settings' });
      await expect(settings).toBeVisible();
      await look('chat-settings');
      await settings.getByRole('combobox', { name: 'Reasoning effort' }).click();
      await expect(page.getByRole('option').first()).toBeVisible();
      await look('effort');
      await page.keyboard.press('Escape');
      await settings.getByRole('button', { name: 'Cancel' }).click();

      await page.getByLabel('Files', { exact: true }).setInputFiles([
        { name: `${LONG}.md`, mimeType: 'text/markdown', buffer: Buffer.from(`# Notes\n${LONG}`) },
        { name: 'a picture.png', mimeType: 'image/png', buffer: picture(320, 200) },
        { name: 'tool.zip', mimeType: 'application/zip', buffer: Buffer.from('PK\0\0') },
      ]);
      await expect(page.getByText('Neither a PNG')).toBeVisible();
      await composer(page).fill(`${LONG}\n`.repeat(12));
      await look('files');
      await page.getByRole('button', { name: 'Remove tool.zip' }).click();
      await send(page, `Please think about ${LONG}`);
      await expect(answer(page).getByRole('button', { name: /^Thinking/ })).toBeVisible();
      await look('thinking');
      provider.release();
      await expect(answer(page)).toContainText('It is 42.');
      await page.getByRole('button', { name: 'Open a picture.png' }).click();
      await expect(page.getByRole('dialog').getByRole('img', { name: 'a picture.png' })).toBeVisible();
      await look('picture');
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: `Open ${LONG.slice(0, 20)}` }).click();
      await expect(page.getByRole('dialog')).toContainText('Notes');
      await look('file');
      await page.keyboard.press('Escape');
      await send(page, 'A bad key');
      await expect(answer(page).getByRole('button', { name: 'Open settings' })).toBeVisible();
      await look('failure');

      await page.goto(server.url);
      await choose(page, 'gpt-5');
      await send(page, 'Show me everything');
      await expect(answer(page).getByRole('button', { name: 'Regenerate' })).toBeVisible();
      await expect(answer(page)).toContainText('That is the last line.');
      await look('answer');
      await page.getByRole('log').evaluate((log) => log.scrollTo(0, 0));
      await question(page).getByRole('button', { name: 'Edit' }).click();
      await look('editing');
      await page.keyboard.press('Escape');
      await answer(page)
        .getByRole('button', { name: /1,200 tokens/ })
        .click();
      await expect(page.getByRole('dialog')).toBeVisible();
      await look('usage-of-one');
      await page.keyboard.press('Escape');
      if (!touch) {
        await page.locator('[aria-current="page"]').hover();
        await look('chat-hovered');
      }
      const refused = { status: 503, contentType: 'application/problem+json', body: '{"code":"unavailable"}' };
      await page.route('**/sessions/*', (route) => route.fulfill(refused));
      await page.getByRole('button', { name: /^Model:/ }).click();
      await page.getByRole('option', { name: 'gpt-4.1-nano' }).click();
      await expect(page.getByText('was not changed')).toBeVisible();
      await look('notice');
      await page.unrouteAll();

      for (const tab of ['Defaults', 'Providers', 'Prices', 'Usage']) {
        await page.goto(`${server.url}/settings?tab=${tab.toLowerCase()}`);
        await expect(page.getByRole('tabpanel', { name: tab }).locator('form, li, tr').first()).toBeVisible();
        if (tab === 'Usage') await expect(page.locator('.recharts-bar-rectangle').first()).toBeVisible();
        await look(tab.toLowerCase());
        const add = page.getByRole('button', { name: /^Add a/ });
        if (!(await add.isVisible())) continue;
        await add.click();
        await expect(page.getByRole('dialog')).toBeVisible();
        await look(`${tab.toLowerCase()}-form`);
      }

      await page.goto(`${server.url}/c/${crypto.randomUUID()}`);
      await expect(page.getByText('was not found')).toBeVisible();
      await look('not-found');
      await page.goto(`${server.url}/no/such/page`);
      await expect(page.getByText('was not found')).toBeVisible();
      await look('no-such-page');

      await page.goto(newest);
      await expect(answer(page)).toContainText('does not accept');
      await server.stop();
      await expect(page.getByText('Reconnecting')).toBeVisible();
      await look('offline');
    });

    test('nothing scrolls the page away, before an answer or after it', async ({ page, server }) => {
      await page.goto(await account(server.url));
      await page.getByLabel('Username').fill(NAME);
      await page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD);
      await page.getByRole('button', { name: 'Log in' }).click();
      await choose(page, 'gpt-5');
      await send(page, 'Show me everything');
      await expect(answer(page)).toContainText('That is the last line.');
      await answer(page).getByRole('button', { name: 'Copy' }).last().click();
      for (const place of await places(page)) {
        await scroll(page, touch, place, 700);
        await scroll(page, touch, place, -300);
        await scroll(page, touch, place, 3000);
        expect(await page.evaluate(() => [scrollX, scrollY, document.scrollingElement?.scrollTop])).toEqual([0, 0, 0]);
        await expect(composer(page)).toBeInViewport({ ratio: 1 });
        await expect(page.getByRole('button', { name: /^Model:/ })).toBeInViewport({ ratio: 1 });
      }
      expect(await page.evaluate(() => document.documentElement.scrollHeight - innerHeight)).toBeLessThanOrEqual(0);
    });
  });
}

async function send(page: Page, text: string): Promise<void> {
  await composer(page).fill(text);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
}

/** Where a finger or the pointer may be: over the messages, the header, the composer. */
async function places(page: Page): Promise<{ x: number; y: number }[]> {
  const boxes = await Promise.all(
    [page.getByRole('log'), page.getByRole('banner'), composer(page)].map((l) => l.boundingBox()),
  );
  return boxes.flatMap((b) => (b ? [{ x: b.x + b.width / 2, y: b.y + b.height / 2 }] : []));
}

/** Scrolls with a finger, several times as far as a hand goes, or with the wheel. */
async function scroll(page: Page, touch: boolean, { x, y }: { x: number; y: number }, by: number): Promise<void> {
  if (!touch) {
    await page.mouse.move(x, y);
    await page.mouse.wheel(0, by);
    return;
  }
  const cdp = await page.context().newCDPSession(page);
  const at = (moved: number) => [{ x, y: Math.max(1, y - Math.sign(by) * moved) }];
  for (let swipes = Math.ceil(Math.abs(by) / 300); swipes > 0; swipes--) {
    await cdp.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: at(0) });
    for (let moved = 60; moved <= 300; moved += 60)
      await cdp.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: at(moved) });
    await cdp.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
  }
  await cdp.detach();
}
