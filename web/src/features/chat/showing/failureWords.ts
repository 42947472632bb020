import type { Failure } from '../../../shared/protocol';

/** A way out of a failure. */
export type Way = 'retry' | 'switch' | 'settings' | 'new';

interface Words {
  title: string;
  text: string;
  ways: Way[];
}

const words: Record<string, Words> = {
  provider_auth: {
    title: 'The provider does not accept the key',
    text: 'The API key is missing, wrong or has ended. Put in a good one, or ask a model of another provider.',
    ways: ['settings', 'switch', 'retry'],
  },
  provider_permission: {
    title: 'The key may not use this model',
    text: 'The provider knows the key, but does not let it use this model.',
    ways: ['switch', 'settings', 'retry'],
  },
  provider_quota: {
    title: 'The credit with the provider is used up',
    text: 'Waiting does not help. Add credit there, use another key, or ask a model of another provider.',
    ways: ['switch', 'settings', 'retry'],
  },
  provider_rate_limit: {
    title: 'Too many requests for now',
    text: 'The provider asks to wait a little. Another model may answer at once.',
    ways: ['retry', 'switch'],
  },
  provider_overloaded: {
    title: 'The provider is overloaded',
    text: 'It has too much to do right now. Try again in a moment, or ask another model.',
    ways: ['retry', 'switch'],
  },
  context_length: {
    title: 'This chat is too long for the model',
    text: 'Ask a model that takes more, shorten your message, or begin a new chat.',
    ways: ['switch', 'new'],
  },
  content_filter: {
    title: "The provider's filter stopped this",
    text: 'Put the question in other words, or ask another model.',
    ways: ['switch', 'retry'],
  },
  model_not_found: {
    title: 'The provider does not have this model',
    text: 'It may have been retired or renamed. Choose another one.',
    ways: ['switch', 'settings'],
  },
  provider_address: {
    title: 'The provider has nothing at this address',
    text: 'Its server was reached. Is the base URL right: does it lack /v1, or have too much?',
    ways: ['settings', 'switch'],
  },
  provider_invalid_request: {
    title: 'The provider refused the request',
    text: 'The model may not take what the chat has set or attached. Another model may.',
    ways: ['switch', 'retry'],
  },
  provider_timeout: {
    title: 'The provider was silent for too long',
    text: 'Nothing more came from it. Try again, or ask another model.',
    ways: ['retry', 'switch'],
  },
  provider_truncated: {
    title: 'The answer broke off',
    text: 'The connection to the provider ended in the middle. What came is kept.',
    ways: ['retry', 'switch'],
  },
  provider_network: {
    title: 'The provider cannot be reached',
    text: 'Its address may be wrong, or the network is down.',
    ways: ['retry', 'switch', 'settings'],
  },
  provider_error: {
    title: 'The provider failed',
    text: 'Something went wrong on its side. Try again, or ask another model.',
    ways: ['retry', 'switch'],
  },
  daily_limit: {
    title: "Today's limit is used up",
    text: 'The message is kept here.',
    ways: ['retry'],
  },
  quota_exceeded: {
    title: 'There is no room left',
    text: 'The message is kept here. Delete chats or files to make room, then try again.',
    ways: ['retry'],
  },
  no_vision: {
    title: 'This model does not see images',
    text: 'Choose one that does, or take the image out.',
    ways: ['switch'],
  },
  too_many_running: {
    title: 'Too many of your answers are running',
    text: 'Stop one, or wait until one has ended.',
    ways: ['retry'],
  },
  rate_limited: { title: 'Too many requests', text: 'Wait a little, then try again.', ways: ['retry'] },
  unavailable: { title: 'The server is busy or going away', text: 'Try again in a moment.', ways: ['retry'] },
  network: { title: 'The server cannot be reached', text: 'Try again when you are connected.', ways: ['retry'] },
  unsent: { title: 'Not sent yet', text: 'The page was left before the server had this.', ways: ['retry'] },
};

/** Of these the server says more than the code does. */
const detailed = new Set(['provider_invalid_request', 'daily_limit']);

/** What stands before a provider's own words, which only those are told who have set it up. */
const SAID = ' The server said: ';

/** A failure in plain words, with the server's own where they say more. */
export function explain(failure: Failure | null): Words & { detail: string } {
  const known = words[failure?.code ?? ''];
  const detail = failure?.detail ?? '';
  const said = detail.includes(SAID) ? detail.slice(detail.indexOf(SAID) + 1) : '';
  if (!known) return { title: 'That did not work', text: '', ways: ['retry', 'switch'], detail };
  return { ...known, detail: detailed.has(failure?.code ?? '') ? detail : said };
}

/** When it is worth to try again, in ms; 0 for at once. */
export function retryAt(failure: Failure | null, since: string | null): number {
  if (!failure?.retry_after || !since) return 0;
  return Date.parse(since) + failure.retry_after * 1000;
}
