import { expect } from '@playwright/test';
import { answer, ask, axe, choose, everyWay, register, watch } from './page';
import { test } from './test';

test.use({
  env: {
    OMNICHAT_TITLE_MODEL: 'off',
    OMNICHAT_DAILY_COST: '2',
  },
});

test('providers are added, changed and removed, and no key comes back', async ({ context, page, provider, server }) => {
  const complaints = watch(context);
  const bodies: string[] = [];
  page.on('response', async (r) => {
    if (/\/providers|\/models/.test(r.url()) && r.request().method() === 'GET')
      bodies.push(await r.text().catch(() => ''));
  });
  await register(page, server.url); // the first user: the admin
  await page.goto(`${server.url}/settings?tab=providers`);
  const list = page.getByRole('list', { name: 'Providers' });
  await expect(list.getByRole('listitem')).toContainText(["Server's settings"]);
  await expect(page.getByRole('button', { name: 'Remove openai' })).toHaveCount(0);

  const form = page.getByRole('dialog');
  await page.getByRole('button', { name: 'Add a provider' }).click();
  await form.getByLabel('Name').fill('Not Good');
  await form.getByLabel('Address').fill(provider.url);
  await form.getByRole('textbox', { name: 'API key' }).fill('sk-very-secret');
  await form.getByRole('switch', { name: 'For everyone on this server' }).check();
  await form.getByRole('button', { name: 'Save' }).click();
  await expect(form).toContainText('must be 1 to 40 small letters');
  await axe(page);
  await form.getByLabel('Name').fill('second');
  await form.getByRole('button', { name: 'Save' }).click();
  await expect(form).toBeHidden();
  await expect(list.getByRole('listitem').filter({ hasText: 'second' })).toContainText('For everyone');

  await page.getByRole('button', { name: 'Change second' }).click();
  await expect(form.getByRole('textbox', { name: 'API key' })).toHaveValue('');
  await expect(form).toContainText('There is one.');
  await form.getByRole('button', { name: 'Save' }).click();
  await expect(form).toBeHidden();
  await page.reload();
  await expect(list.getByRole('listitem')).toHaveCount(2);
  expect(bodies.join()).toContain('second');
  expect(bodies.join()).not.toContain('sk-very-secret');
  expect(await page.content()).not.toContain('sk-very-secret');
  await everyWay(page, 'providers');

  // Its models can be asked at once.
  await page.getByRole('button', { name: 'Back to the chat' }).click();
  await page.getByRole('button', { name: /^Model:/ }).click();
  await page.getByRole('textbox', { name: 'Search models' }).fill('second gpt-5');
  await page.getByRole('option').first().click();
  await ask(page, 'Hello');
  await expect(answer(page)).toContainText('Answer of gpt-5');

  await page.getByRole('button', { name: 'ann', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Settings' }).click();
  await page.getByRole('tab', { name: 'Providers' }).click();
  await page.getByRole('button', { name: 'Remove second' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await expect(list.getByRole('listitem')).toHaveCount(1);
  expect(complaints).toEqual([]);
});

test('a user brings their own, and sees prices but may not change them', async ({ browser, page, server }) => {
  await register(page, server.url);
  const other = await (await browser.newContext()).newPage();
  await register(other, server.url, 'bob');
  await other.goto(`${server.url}/settings?tab=providers`);
  await other.getByRole('button', { name: 'Add a provider' }).click();
  const form = other.getByRole('dialog');
  await expect(form.getByText('For everyone on this server')).toHaveCount(0);
  await form.getByLabel('Name').fill('mine');
  await form.getByLabel('Address').fill('https://provider.invalid/v1');
  await form.getByRole('textbox', { name: 'API key' }).fill('sk-bobs');
  await form.getByRole('button', { name: 'Save' }).click();
  const list = other.getByRole('list', { name: 'Providers' });
  await expect(list.getByRole('listitem').filter({ hasText: 'mine' })).toContainText('Yours');
  await other.getByRole('tab', { name: 'Prices' }).click();
  await expect(other.getByRole('cell', { name: 'gpt-5', exact: true })).toBeVisible();
  await expect(other.getByRole('button', { name: 'Change the price of gpt-5' })).toHaveCount(0);

  await page.goto(`${server.url}/settings?tab=providers`);
  await expect(page.getByRole('list', { name: 'Providers' }).getByRole('listitem')).toHaveCount(1);
});

test('what is set for a chat is sent with its questions', async ({ page, provider, server }) => {
  await register(page, server.url);
  await choose(page, 'gpt-5');
  const settings = page.getByRole('dialog', { name: 'Chat settings' });
  const open = () => page.getByRole('button', { name: 'Chat settings' }).click();
  await open();
  await settings.getByLabel('System prompt').fill('Answer as a pirate.');
  await settings.getByRole('textbox', { name: 'Temperature' }).fill('0.5');
  await settings.getByRole('combobox', { name: 'Reasoning effort' }).click();
  await page.getByRole('option', { name: 'High' }).click();
  await settings.getByRole('button', { name: 'Save' }).click();
  await expect(settings).toBeHidden();
  await expect(page.getByRole('button', { name: 'Chat settings' })).toBeFocused();

  // A new chat is made with them, and named by its first words.
  await ask(page, 'Where is the treasure?');
  await expect(answer(page)).toContainText('Answer of gpt-5');
  await expect(page).toHaveTitle('Where is the treasure? · OmniChat');
  expect(JSON.stringify(provider.asked.at(-1)?.messages[0])).toContain('Answer as a pirate.');
  expect(provider.asked.at(-1)).toMatchObject({ reasoning_effort: 'high' });

  await page.reload();
  await open();
  await expect(settings.getByLabel('System prompt')).toHaveValue('Answer as a pirate.');
  await everyWay(page, 'session');
  await settings.getByLabel('System prompt').fill('');
  await settings.getByRole('button', { name: 'Save' }).click();
  await expect(settings).toBeHidden();
  await ask(page, 'And now?');
  await expect.poll(() => provider.asked.length).toBe(2);
  expect(JSON.stringify(provider.asked.at(-1)?.messages)).not.toContain('pirate');

  // The next new chat has none of it.
  await page.getByRole('button', { name: 'New chat' }).click();
  await open();
  await expect(settings.getByRole('textbox', { name: 'Temperature' })).toHaveValue('');
});

test('defaults are kept, and go along', async ({ page, provider, server }) => {
  await register(page, server.url);
  await page.goto(`${server.url}/settings`);
  await page.getByLabel('System prompt').fill('Be brief.');
  await page.getByRole('combobox', { name: 'Second model' }).click();
  await page.getByRole('option', { name: 'gpt-5', exact: true }).click();
  await everyWay(page, 'defaults');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Saved.')).toBeVisible();
  await page.reload();
  await expect(page.getByLabel('System prompt')).toHaveValue('Be brief.');
  await expect(page.getByRole('combobox', { name: 'Second model' })).toHaveValue('gpt-5');

  // The second model answers for one that fails, and the answer says so.
  await page.getByRole('button', { name: 'Back to the chat' }).click();
  await choose(page, 'gpt-4.1-nano');
  provider.failing = 'gpt-4.1-nano';
  await ask(page, 'Hello');
  await expect(answer(page)).toContainText('Answer of gpt-5');
  await expect(answer(page).getByText('gpt-5', { exact: true })).toBeVisible();
  await expect(answer(page)).toContainText('failed');
  expect(JSON.stringify(provider.asked.at(-1)?.messages)).toContain('Be brief.');
});

test('the admin sets a price, and it counts; the usage is shown', async ({ page, server }) => {
  await register(page, server.url);
  await page.goto(`${server.url}/settings?tab=prices`);
  await page.getByRole('textbox', { name: 'Search prices' }).fill('gpt-5');
  await page.getByRole('button', { name: 'Change the price of gpt-5', exact: true }).click();
  const form = page.getByRole('dialog');
  await form.getByRole('textbox', { name: 'Input', exact: true }).fill('100');
  await form.getByRole('textbox', { name: 'Cached input' }).fill('10');
  await form.getByRole('textbox', { name: 'Output' }).fill('1000');
  await form.getByRole('button', { name: 'Save' }).click();
  await expect(form).toBeHidden();
  const row = page.getByRole('row').filter({ has: page.getByRole('cell', { name: /^gpt-5 Changed$/ }) });
  await expect(row).toContainText('$1000');
  await everyWay(page, 'prices');
  await page.getByRole('button', { name: 'Add a price' }).click();
  await form.getByLabel('Model').fill('openai/unheard-of');
  await form.getByRole('textbox', { name: 'Input', exact: true }).fill('1');
  await form.getByRole('textbox', { name: 'Output' }).fill('2');
  await form.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('textbox', { name: 'Search prices' }).fill('unheard');
  await expect(page.getByRole('cell', { name: /^openai\/unheard-of/ })).toBeVisible();

  await page.getByRole('button', { name: 'Back to the chat' }).click();
  await choose(page, 'gpt-5');
  await ask(page, 'How dear is this?');
  await expect(answer(page).getByRole('button', { name: '1,200 tokens · $0.30' })).toBeVisible();

  await page.getByRole('button', { name: 'ann', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Usage' }).click();
  await expect(page.getByRole('region', { name: 'Limits' })).toContainText('$0.30 of $2.00');
  const chart = page.getByRole('figure', { name: 'Usage by day' });
  await expect(chart).toContainText('1 answer, 1,200 tokens, $0.30');
  await expect(chart.locator('.recharts-bar-rectangle').first()).toBeVisible();
  await expect(page.getByRole('row', { name: /openai\/gpt-5.*1,000 200 \$0.30/ })).toBeVisible();
  await everyWay(page, 'usage');
  for (const [tab, text] of [
    ['By chat', 'How dear is this?'],
    ['By user', 'ann'],
  ]) {
    await page.getByRole('tab', { name: tab }).click();
    await expect(page.getByRole('row').filter({ hasText: text })).toContainText('$0.30');
  }
  await page.getByText('7 days').click();
  await page.getByRole('switch', { name: "Everyone's" }).check();
  await page.getByText('Cost', { exact: true }).first().click();
  await expect(chart).toContainText('$0.30');

  await page.getByRole('tab', { name: 'Prices' }).click();
  await page.getByRole('button', { name: 'Undo the price of gpt-5', exact: true }).click();
  await expect(page.getByRole('cell', { name: 'gpt-5', exact: true })).toBeVisible();
});

test('the admin is told of a proxy that is not named, and nobody else', async ({ browser, context, page, server }) => {
  const complaints = watch(context);
  await fetch(`${server.url}/healthz`, { headers: { 'X-Forwarded-For': '192.0.2.1' } });
  await register(page, server.url);
  await page.goto(`${server.url}/settings`);
  await expect(page.getByText('OMNICHAT_TRUSTED_PROXIES')).toBeVisible();
  await everyWay(page, 'warnings');
  const other = await browser.newPage();
  await register(other, server.url, 'bob');
  await other.goto(`${server.url}/settings`);
  await expect(other.getByRole('tab', { name: 'Defaults' })).toBeVisible();
  await expect(other.getByText('OMNICHAT_TRUSTED_PROXIES')).toHaveCount(0);
  await other.close();
  expect(complaints).toEqual([]);
});

test('a password that others would try is refused, and the page says why', async ({ page, server }) => {
  await page.goto(`${server.url}/login`);
  await page.getByRole('button', { name: 'Make an account' }).click();
  await page.getByLabel('Username').fill('margaret');
  for (const [password, why] of [
    ['password', 'most common'],
    ['margaret1', 'username'],
    ['OmniChat1', 'name of this site'],
  ] as const) {
    await page.getByRole('textbox', { name: 'Password' }).fill(password);
    await page.getByRole('button', { name: 'Register' }).click();
    await expect(page.getByRole('alert')).toContainText(why);
  }
});
