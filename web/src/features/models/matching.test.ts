import { expect, it } from 'vitest';
import type { Model } from '../../shared/protocol';
import { grouped, matching } from './matching';

const model = (id: string): Model => ({
  id,
  provider: id.split('/')[0],
  name: id.split('/')[1],
  context: 0,
  vision: null,
  reasoning: false,
  price: null,
});
const models = ['openai/gpt-5', 'openai/gpt-5-mini', 'groq/llama-3', 'openai/o4'].map(model);

it('finds models by all the words, of the provider as well', () => {
  expect(matching(models, ' Mini gpt').map((m) => m.id)).toEqual(['openai/gpt-5-mini']);
  expect(matching(models, 'openai')).toHaveLength(3);
  expect(matching(models, '')).toHaveLength(4);
});

it('groups them by provider', () => {
  expect(grouped(models).map(([provider, items]) => [provider, items.length])).toEqual([
    ['openai', 3],
    ['groq', 1],
  ]);
});
