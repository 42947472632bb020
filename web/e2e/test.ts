import { test as base } from '@playwright/test';
import { FakeProvider } from './provider';
import { OmniChat } from './server';

interface Fixtures {
  /** Settings of the server. */
  env: Record<string, string>;
  /** A server of the test's own. */
  server: OmniChat;
}

/** With a server that has the demo provider alone. */
export const demo = base.extend<Fixtures>({
  env: [{}, { option: true }],
  server: async ({ env }, use) => {
    const server = new OmniChat(env);
    await server.start();
    await use(server);
    await server.remove();
  },
});

/** With a server that asks a fake provider. */
export const test = demo.extend<{ provider: FakeProvider }>({
  // biome-ignore lint/correctness/noEmptyPattern: the first argument must be a pattern
  provider: async ({}, use) => {
    const provider = new FakeProvider();
    await provider.start();
    await use(provider);
    provider.close();
  },
  server: async ({ env, provider }, use) => {
    const server = new OmniChat({ OPENAI_BASE_URL: provider.url, OPENAI_API_KEY: 'key', ...env });
    await server.start();
    await use(server);
    await server.remove();
  },
});
