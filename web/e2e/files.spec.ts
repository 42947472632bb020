import { type BrowserContext, expect, type Page } from '@playwright/test';
import { answer, ask, choose, composer, question, register, watch } from './page';
import { noise, picture } from './picture';
import { test } from './test';

const cat = { name: 'cat.png', mimeType: 'image/png', buffer: picture(10, 10) };
const notes = { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('Remember the milk.') };

test.use({
  env: {
    OMNICHAT_FILE_BYTES: '100000',
    OMNICHAT_FILES_PER_MESSAGE: '3',
  },
});

const chips = (page: Page) => page.getByRole('list', { name: 'Files to send' });
const sent = (page: Page) => question(page).getByRole('list', { name: 'Attached files' });

async function attach(page: Page, ...files: (typeof cat)[]): Promise<void> {
  await page.getByLabel('Files', { exact: true }).setInputFiles(files);
}

/** Gives the page a file as a paste or a drop does. */
async function give(page: Page, how: 'paste' | 'drop', name: string, type: string, text: string): Promise<void> {
  const transfer = await page.evaluateHandle(
    ([name, type, text]) => {
      const t = new DataTransfer();
      t.items.add(new File([text], name, { type }));
      return t;
    },
    [name, type, text],
  );
  if (how === 'drop') {
    await page.dispatchEvent('body', 'dragenter', { dataTransfer: transfer });
    await expect(page.getByText('Drop files to attach them')).toBeVisible();
    await page.dispatchEvent('body', 'drop', { dataTransfer: transfer });
    await expect(page.getByText('Drop files to attach them')).toBeHidden();
  } else {
    await composer(page).evaluate(
      (el, clipboardData) =>
        el.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true })),
      transfer,
    );
  }
}

async function shows(page: Page, context: BrowserContext): Promise<void> {
  await expect(sent(page).getByRole('listitem')).toHaveCount(3);
  const image = sent(page).getByRole('button', { name: 'Open cat.png' }).locator('img');
  await expect(image).toHaveJSProperty('complete', true);
  expect(await image.evaluate((i: HTMLImageElement) => i.naturalWidth)).toBe(10);
  expect(context.pages()).toContain(page);
}

test('files by button, paste and drop are sent, and seen after a reload and in another tab', async ({
  context,
  page,
  provider,
  server,
}) => {
  const complaints = watch(context);
  await register(page, server.url);
  await choose(page, 'gpt-5');

  await page.getByRole('button', { name: 'Attach' }).click();
  await expect(page.getByText('Up to 3 with a message, 98 KiB each')).toBeVisible();
  await page.keyboard.press('Escape');

  await attach(page, cat);
  await give(page, 'paste', 'notes.txt', 'text/plain', 'Remember the milk.');
  await give(page, 'drop', 'more.md', 'text/markdown', '# More');
  await expect(chips(page).getByRole('listitem')).toHaveCount(3);
  await expect(chips(page).getByText('18 bytes', { exact: true })).toBeVisible();
  await composer(page).fill('What is all this?');

  // The draft survives a reload with its files.
  await page.reload();
  await expect(composer(page)).toHaveValue('What is all this?');
  await expect(chips(page).getByRole('listitem')).toHaveCount(3);
  await expect(chips(page).locator('img')).toHaveCount(1);
  await composer(page).press('Enter');
  await expect(answer(page)).toContainText('with 1 image');
  await expect(chips(page)).toHaveCount(0);
  const seen = JSON.stringify(provider.asked[0].messages);
  expect(seen).toContain('data:image/png;base64,');
  expect(seen).toContain('Remember the milk.');
  await shows(page, context);

  const second = await context.newPage();
  await second.goto(page.url());
  await shows(second, context);
  await page.reload();
  await shows(page, context);

  // Each opens in full, and gives the focus back.
  await page.getByRole('button', { name: 'Open notes.txt' }).click();
  await expect(page.getByRole('dialog').getByText('Remember the milk.')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('button', { name: 'Open notes.txt' })).toBeFocused();
  await page.getByRole('button', { name: 'Open cat.png' }).click();
  await expect(page.getByRole('dialog').getByRole('img', { name: 'cat.png' })).toBeVisible();
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();

  // An edit keeps what is not taken out.
  await question(page).hover();
  await question(page).getByRole('button', { name: 'Edit' }).click();
  await page.getByRole('button', { name: 'Remove more.md' }).click();
  await page.getByRole('textbox', { name: 'Edit message' }).fill('And now?');
  await page.getByRole('article').getByRole('button', { name: 'Send' }).click();
  await expect(question(page)).toContainText('And now?');
  await expect(sent(page).getByRole('listitem')).toHaveCount(2);
  await expect(answer(page)).toContainText('with 1 image');
  await expect(second.getByText('And now?')).toBeVisible();
  expect(complaints).toEqual([]);
});

test('what cannot be attached says why, and keeps the rest', async ({ page, server }) => {
  await register(page, server.url);
  await attach(page, { name: 'long.txt', mimeType: 'text/plain', buffer: Buffer.alloc(200_000, 'a') });
  await expect(chips(page).getByText('195 KiB is too large: 98 KiB at most.')).toBeVisible();
  await attach(page, { name: 'tool.zip', mimeType: 'application/zip', buffer: Buffer.from('PK\0\0') });
  await expect(chips(page).getByText('Neither a PNG')).toBeVisible();
  const damaged = Buffer.from(cat.buffer);
  damaged[50] ^= 1;
  await attach(page, { name: 'damaged.png', mimeType: 'image/png', buffer: damaged });
  await expect(chips(page).getByText('The file is damaged.')).toBeVisible();
  await attach(page, cat, notes);
  await expect(chips(page).getByText('18 bytes', { exact: true })).toBeVisible();
  await composer(page).fill('Look');
  await expect(page.getByText('Remove what could not be attached')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Send' })).toBeDisabled();
  for (const name of ['long.txt', 'tool.zip', 'damaged.png'])
    await page.getByRole('button', { name: `Remove ${name}` }).click();
  await expect(page.getByRole('button', { name: 'Send' })).toBeEnabled();
  await attach(page, notes, notes);
  await expect(chips(page).getByText('Only 3 files go with one message.')).toBeVisible();
});

test('a model that does not see images is told before, and another is offered', async ({ page, server }) => {
  await register(page, server.url);
  await choose(page, 'gpt-3.5-turbo');
  await attach(page, cat);
  await composer(page).fill('What is on it?');
  await expect(page.getByText('gpt-3.5-turbo does not see images.')).toBeVisible();

  // Sent all the same, it is refused with all that belongs to it kept.
  await composer(page).press('Enter');
  const note = page.getByRole('group', { name: 'Not sent' });
  await expect(note).toContainText('does not see images');
  await expect(sent(page).getByRole('listitem')).toHaveCount(1);
  await page.reload();
  await expect(note).toBeVisible();
  await note.getByRole('button', { name: 'Edit' }).click();
  await expect(composer(page)).toHaveValue('What is on it?');
  await expect(chips(page).getByRole('listitem')).toHaveCount(1);
  await page.getByRole('button', { name: 'Use gpt-4.1-nano' }).click();
  await expect(page.getByText('does not see images.')).toHaveCount(0);
  await composer(page).press('Enter');
  await expect(answer(page)).toContainText('gpt-4.1-nano, with 1 image');
});

test('a refused send is retried with another model', async ({ page, server }) => {
  await register(page, server.url);
  await choose(page, 'gpt-3.5-turbo');
  await attach(page, cat);
  await ask(page, 'What is on it?');
  await page.getByRole('group', { name: 'Not sent' }).getByRole('button', { name: 'Switch model' }).click();
  await page.getByRole('option', { name: 'gpt-5' }).first().click();
  await expect(answer(page)).toContainText('gpt-5, with 1 image');

  // Files need no words.
  await attach(page, cat);
  await page.getByRole('button', { name: 'Send' }).click();
  await expect(page.getByRole('article', { name: 'You' })).toHaveCount(2);
  await expect(sent(page).getByRole('listitem')).toHaveCount(1);
  await expect(answer(page)).toContainText('gpt-5, with 1 image');
});

test.describe('an image that is large', () => {
  test.use({ env: {} });

  test('is scaled down before it is uploaded, and says so', async ({ page, provider, server }) => {
    await register(page, server.url);
    await choose(page, 'gpt-5');
    const large = noise(6000, 4000, 700);
    expect(large.length).toBeGreaterThan(10 * 1024 * 1024); // than the server takes
    const uploading = page.waitForResponse((r) => r.url().includes('/attachments?'));
    await attach(page, { name: 'large.png', mimeType: 'image/png', buffer: large });
    await expect(chips(page).getByRole('status')).toHaveText('Scaled down to 2000 × 1333');

    const upload = await uploading;
    const { id } = (await upload.json()) as { id: string };
    const { authorization } = await upload.request().allHeaders();
    const kept = await page.request.get(`${server.url}/attachments/${id}`, { headers: { authorization } });
    const type = kept.headers()['content-type'];
    const body = await kept.body();
    expect(body.length).toBeLessThanOrEqual((5 * 1024 * 1024 * 3) / 4); // 5 MiB in base64
    const size = await page.evaluate(
      async ([type, data]) => {
        const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
        const { width, height } = await createImageBitmap(new Blob([bytes], { type }));
        return [width, height];
      },
      [type, body.toString('base64')],
    );
    expect(size).toEqual([2000, 1333]);

    await attach(page, { name: 'cut.png', mimeType: 'image/png', buffer: large.subarray(0, large.length / 2) });
    await expect(chips(page).getByText('The image is damaged or not whole.')).toBeVisible();
    await page.getByRole('button', { name: 'Remove cut.png' }).click();

    await ask(page, 'What is on it?');
    await expect(answer(page)).toContainText('with 1 image');
    expect(JSON.stringify(provider.asked[0].messages)).toContain(`data:${type};base64,`);
  });
});
