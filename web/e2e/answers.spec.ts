import { expect, type Page } from '@playwright/test';
import { answer, ask, choose, composer, everyWay, price, register, watch } from './page';
import { picture } from './picture';
import { test } from './test';

const failure = (page: Page) =>
  answer(page)
    .getByRole('group')
    .filter({ has: page.getByRole('button', { name: /^(Retry|Switch model|Open settings)/ }) });

test.use({
  env: {
    OMNICHAT_TITLE_MODEL: 'openai/gpt-4.1-nano',
    OMNICHAT_DAILY_TOKENS: '5000',
  },
});

test('thinking ticks, folds, and is kept; the answer says its model, tokens and price', async ({
  context,
  page,
  provider,
  server,
}) => {
  const complaints = watch(context);
  await register(page, server.url);
  await price(page, server.url, 'openai/gpt-5', { input: 1.25, cached_input: 0.125, output: 10 });
  await choose(page, 'gpt-5');
  await ask(page, 'Please think');
  const block = answer(page).getByRole('button', { name: /^Thinking \d+ s$/ });
  await expect(block).toBeVisible();
  const shown = await block.innerText();
  await expect(block).not.toHaveText(shown); // it ticks
  await expect(answer(page).getByText('First I wonder')).toBeHidden();
  await block.click();
  await expect(answer(page).getByText('First I wonder, then I know.')).toBeVisible();

  // Another tab sees it, folded; what a person has opened stays open.
  const second = await context.newPage();
  await second.goto(page.url());
  await expect(answer(second).getByRole('button', { name: /^Thinking/ })).toHaveAttribute('aria-expanded', 'false');
  provider.release();
  await expect(answer(page)).toContainText('It is 42.');
  await expect(answer(page).getByRole('button', { name: /^Thought for \d+ s$/ })).toBeVisible();
  await expect(answer(page).getByText('First I wonder, then I know.')).toBeVisible();
  await expect(answer(second).getByRole('button', { name: /^Thought for/ })).toHaveAttribute('aria-expanded', 'false');

  // The title is made meanwhile, and arrives by itself.
  for (const p of [page, second]) {
    await expect(p.getByRole('button', { name: 'A title of its own', exact: true })).toBeVisible();
    await expect(p).toHaveTitle('A title of its own · OmniChat');
  }

  await page.reload();
  await expect(answer(page).getByRole('button', { name: /^Thought for \d+ s$/ })).toBeVisible();
  await expect(answer(page)).toContainText('gpt-5');
  await answer(page).getByRole('button', { name: '1,200 tokens' }).click();
  const usage = page.getByRole('dialog', { name: /^1,200 tokens/ });
  await expect(usage).toContainText('1,000 tokens');
  await expect(usage).toContainText('of which thinking');
  await expect(usage).toContainText('$0.00325');
  await page.keyboard.press('Escape');
  await expect(usage).toBeHidden();
  await expect(answer(page).getByRole('button', { name: '1,200 tokens' })).toBeFocused();
  expect(complaints).toEqual([]);
});

test('a rate limit counts down, and then is retried', async ({ page, provider, server }) => {
  await page.clock.install();
  await register(page, server.url);
  await choose(page, 'gpt-5');
  await ask(page, 'Is there a limit?');
  const note = failure(page);
  await expect(note).toContainText('Too many requests for now');
  const retry = note.getByRole('button', { name: /^Retry/ });
  await expect(retry).toHaveText(/^Retry in \d+ s$/);
  await expect(retry).toBeDisabled();
  provider.limited = false;
  await page.clock.fastForward(45_000);
  await expect(retry).toHaveText('Retry');
  await retry.click();
  await expect(answer(page)).toContainText('Answer of gpt-5');
  await expect(answer(page).getByText('2/2')).toBeVisible();
});

test('failures lead somewhere: settings, another model, going on', async ({ page, provider, server }) => {
  await register(page, server.url);
  await choose(page, 'gpt-5');
  await ask(page, 'A bad key');
  const note = failure(page);
  await expect(note).toContainText('does not accept the key');
  await note.getByRole('button', { name: 'Open settings' }).click();
  await expect(page.getByRole('tab', { name: 'Providers' })).toHaveAttribute('aria-selected', 'true');
  await page.getByRole('button', { name: 'Back to the chat' }).click();
  await expect(note).toBeVisible();

  await ask(page, 'Let it break');
  await expect(answer(page)).toContainText('Half of an ans');
  provider.release();
  await expect(note).toContainText('The answer broke off');
  await expect(answer(page)).toContainText('Half of an ans');
  await expect(note.getByRole('button', { name: 'Continue' })).toBeVisible();

  // Another model is asked as soon as it is chosen. Without a choice the focus goes back.
  await note.getByRole('button', { name: 'Switch model' }).click();
  await expect(page.getByRole('textbox', { name: 'Search models' })).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('option')).toHaveCount(0);
  await expect(note.getByRole('button', { name: 'Switch model' })).toBeFocused();
  await note.getByRole('button', { name: 'Switch model' }).click();
  await page.keyboard.type('nano');
  await expect(page.getByRole('option')).toHaveCount(1);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('button', { name: 'Model: gpt-4.1-nano' })).toBeVisible();
  await expect.poll(() => provider.asked.at(-1)?.model).toBe('gpt-4.1-nano');
});

test('a call of a tool can be read', async ({ page, server }) => {
  await register(page, server.url);
  await choose(page, 'gpt-5');
  await ask(page, 'Use a tool');
  await answer(page).getByText('Wants to call get_weather').click();
  await expect(answer(page).getByText('"city": "Oslo"')).toBeVisible();
});

test('the daily limit keeps what was written', async ({ page, server }) => {
  await register(page, server.url);
  await choose(page, 'gpt-5');
  for (const n of [1, 2, 3, 4, 5]) {
    await ask(page, `Question ${n}`);
    const used = page.getByRole('button', { name: /1,200 tokens/ });
    await expect(used.or(page.getByRole('group', { name: 'Not sent' })).nth(n - 1)).toBeVisible();
    if (await page.getByRole('group', { name: 'Not sent' }).isVisible()) break;
  }
  const note = page.getByRole('group', { name: 'Not sent' });
  await expect(note).toContainText("today's limit is used up");
  await expect(note.getByRole('button', { name: 'Retry' })).toBeVisible();
  await note.getByRole('button', { name: 'Edit' }).click();
  await expect(composer(page)).toHaveValue(/^Question \d$/);
});

test('answers with all their parts are accessible', async ({ page, provider, server }) => {
  await register(page, server.url);
  await choose(page, 'gpt-5');
  await page.getByLabel('Files', { exact: true }).setInputFiles([
    { name: 'notes.md', mimeType: 'text/markdown', buffer: Buffer.from('# Notes') },
    { name: 'a picture.png', mimeType: 'image/png', buffer: picture(320, 200) },
  ]);
  await ask(page, 'Please think about these');
  await expect(answer(page).getByRole('button', { name: /^Thinking/ })).toBeVisible();
  provider.release();
  await expect(answer(page)).toContainText('It is 42.');
  await answer(page)
    .getByRole('button', { name: /^Thought/ })
    .click();
  await ask(page, 'Use a tool');
  await answer(page).getByText('Wants to call').click();
  await ask(page, 'Let it break');
  await expect(answer(page)).toContainText('Half of an ans');
  provider.release();
  await expect(failure(page)).toBeVisible();
  await page.getByLabel('Files', { exact: true }).setInputFiles([
    { name: 'another.png', mimeType: 'image/png', buffer: picture(320, 200) },
    { name: 'tool.zip', mimeType: 'application/zip', buffer: Buffer.from('PK\0\0') },
  ]);
  await expect(page.getByText('Neither a PNG')).toBeVisible();
  await everyWay(page, 'answers');
  await page.getByRole('log').evaluate((log) => log.scrollTo(0, 0));
  await page.getByRole('button', { name: /^Model:/ }).click();
  await expect(page.getByRole('option').first()).toBeVisible();
  await everyWay(page, 'models');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Open a picture.png' }).click();
  await expect(page.getByRole('dialog').getByRole('img', { name: 'a picture.png' })).toBeVisible();
  await everyWay(page, 'picture');
});
