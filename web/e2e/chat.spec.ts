import { expect } from '@playwright/test';
import { Line } from './line';
import { answer, ask, axe, composer, everyWay, growing, question, register, watch } from './page';
import { OmniChat, serveElsewhere } from './server';
import { demo as test } from './test';

const END = 'That is all there is.';

test('ask, watch in a second tab, reload, stop from there, restart', async ({ context, page, server }) => {
  const complaints = watch(context);
  await register(page, server.url);
  await ask(page, 'What is this?');
  await expect(page.getByText('What is this?').first()).toBeVisible();
  await growing(page);
  await expect(page).toHaveURL(/\/c\//);

  const second = await context.newPage();
  await second.goto(page.url());
  await growing(second);
  await expect(second.getByRole('button', { name: /What is this/ }).first()).toBeVisible();

  await page.reload();
  const shown = await growing(page);
  expect(shown).toContain('This is a demo');
  await expect(page.getByText('2 watching')).toBeVisible();

  await second.getByRole('button', { name: 'Stop' }).click();
  for (const p of [page, second]) await expect(answer(p)).toContainText('Stopped.');
  await expect.poll(async () => (await answer(page).innerText()) === (await answer(second).innerText())).toBe(true);

  const before = await answer(page).innerText();
  await server.stop();
  await server.start();
  await page.reload();
  await expect(answer(page)).toContainText('Stopped.');
  await expect.poll(() => answer(page).innerText()).toBe(before);

  // Both tabs stay in step: a new question, a title, a deletion.
  await expect(composer(second)).toBeVisible();
  await ask(page, 'And again?');
  await expect(question(second)).toContainText('And again?');
  await page.getByRole('button', { name: /^More for/ }).click();
  await page.getByRole('menuitem', { name: 'Rename' }).click();
  await page.getByRole('textbox', { name: 'Title' }).fill('A better title');
  await page.getByRole('textbox', { name: 'Title' }).press('Enter');
  await expect(second.getByRole('button', { name: 'A better title', exact: true })).toBeVisible();
  await page.getByRole('button', { name: /^More for/ }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  const gone = page.url();
  await composer(second).fill('Not lost');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  // It closes softly: a new chat is there, with what was being written.
  for (const p of [page, second]) {
    await expect(p).toHaveURL(`${server.url}/`);
    await expect(p.getByText('What can I help with?')).toBeVisible();
    await expect(p.getByText('was not found')).toHaveCount(0);
  }
  await expect(composer(second)).toHaveValue('Not lost');
  await expect(second.getByRole('alert')).toContainText('“A better title” was deleted');
  await expect(page.getByRole('alert')).toHaveCount(0);
  await second.goto(gone);
  await expect(second.getByText('This chat was not found')).toBeVisible();
  expect(complaints).toEqual([]);
});

test('a killed server keeps what was shown and offers to continue', async ({ page, server }) => {
  await register(page, server.url);
  await ask(page, 'Tell me');
  await growing(page);
  await server.stop('SIGKILL');
  const shown = (await answer(page).getByRole('heading').first().innerText()).trim();
  await server.start();
  await expect(answer(page)).toContainText('Interrupted', { timeout: 30_000 });
  await expect(answer(page)).toContainText(shown);
  await answer(page).getByRole('button', { name: 'Continue' }).click();
  await expect(answer(page)).toContainText('a broken answer can be continued', { timeout: 30_000 });
  await page.reload();
  await expect(answer(page)).toContainText('a broken answer can be continued');
});

test('an answer goes on when the connections to the server die without a word', async ({ page, server }) => {
  const line = new Line(server.url);
  try {
    await register(page, await line.open());
    await ask(page, 'Tell me');
    await growing(page);
    line.die();
    await expect(answer(page)).toContainText(END, { timeout: 70_000 });
    await expect(answer(page)).not.toContainText('Interrupted');
    await expect(page.getByRole('button', { name: 'Stop' })).toHaveCount(0);
  } finally {
    line.close();
  }
});

test('regenerate makes a sibling, and both can be read', async ({ page, server }) => {
  await register(page, server.url);
  await ask(page, 'Once more');
  await growing(page);
  await page.keyboard.press('Escape');
  await expect(answer(page)).toContainText('Stopped.');
  await answer(page).getByRole('button', { name: 'Regenerate' }).click();
  await expect(answer(page)).toContainText(END, { timeout: 40_000 });
  await expect(answer(page).getByText('2/2')).toBeVisible();
  await answer(page).getByRole('button', { name: 'Previous version' }).click();
  await expect(answer(page)).toContainText('Stopped.');
  await expect(answer(page).getByText('1/2')).toBeVisible();
});

test('the same build on another site: sign in, ask, reload, log out', async ({ page, context }) => {
  let api = '';
  const site = await serveElsewhere(() => ({ api }));
  const server = new OmniChat({ OMNICHAT_ORIGINS: site.url });
  await server.start();
  api = server.url;
  try {
    const complaints = watch(context);
    await register(page, site.url);
    await ask(page, 'From elsewhere');
    await growing(page);
    await page.reload();
    await growing(page);
    await expect(answer(page)).toContainText(END, { timeout: 40_000 });
    await page.getByRole('button', { name: 'ann', exact: true }).click();
    await page.getByRole('menuitem', { name: 'Log out' }).click();
    await expect(page.getByRole('button', { name: 'Log in' })).toBeVisible();
    await page.reload();
    await expect(page.getByRole('button', { name: 'Log in' })).toBeVisible();
    expect(complaints).toEqual([]);
  } finally {
    site.server.close();
    await server.remove();
  }
});

test('the page is accessible, light and dark, wide and narrow', async ({ page, server }) => {
  await page.goto(server.url);
  await expect(page.getByRole('button', { name: 'Log in' })).toBeVisible();
  await axe(page);
  await register(page, server.url);
  await ask(page, 'Show me everything');
  await expect(answer(page)).toContainText(END, { timeout: 40_000 });
  await everyWay(page, 'chat');
});
