import { expect, it, vi } from 'vitest';
import { makeStore } from '../../app/store';
import { Api, ApiError } from '../../shared/api';
import { deleteEndpoint, deletePrice, loadPrices, putEndpoint, putPrice } from './settingsSlice';

function page() {
  const api = new Api('');
  const json = vi.spyOn(api, 'json').mockResolvedValue({ items: [] });
  return { json, store: makeStore(api) };
}

it('sends a key only if there is one, and never keeps it', async () => {
  const { json, store } = page();
  const draft = { name: 'mine', kind: 'openai', base_url: '', api_key: '', shared: false };
  await store.dispatch(putEndpoint(draft));
  expect(json).toHaveBeenCalledWith('PUT', '/providers/mine', { kind: 'openai', base_url: '' });
  await store.dispatch(putEndpoint({ ...draft, api_key: 'sk-secret', shared: true }));
  expect(json).toHaveBeenCalledWith('PUT', '/providers/mine', {
    kind: 'openai',
    base_url: '',
    api_key: 'sk-secret',
    shared: true,
  });
  expect(JSON.stringify(store.getState())).not.toContain('sk-secret');
});

it('deletes what is for everyone as such', async () => {
  const { json, store } = page();
  const endpoint = { name: 'ours', kind: 'openai', base_url: '', has_key: true };
  await store.dispatch(deleteEndpoint({ ...endpoint, source: 'admin' }));
  expect(json).toHaveBeenCalledWith('DELETE', '/providers/ours?shared=true');
  await store.dispatch(deleteEndpoint({ ...endpoint, source: 'user' }));
  expect(json).toHaveBeenCalledWith('DELETE', '/providers/ours');
});

it('names a model in a path, with its slashes', async () => {
  const { json, store } = page();
  await store.dispatch(putPrice({ model: 'openai/a b:free', input: 1, cached_input: 0.5, output: 2 }));
  expect(json).toHaveBeenCalledWith('PUT', '/prices/openai/a%20b%3Afree', { input: 1, cached_input: 0.5, output: 2 });
  await store.dispatch(deletePrice('gpt-5'));
  expect(json).toHaveBeenCalledWith('DELETE', '/prices/gpt-5');
});

it('hands a refusal to the form that asked, and says what cannot be read', async () => {
  const { json, store } = page();
  json.mockRejectedValue(new ApiError(400, 'invalid', 'input must be more', 'input'));
  const done = await store.dispatch(putPrice({ model: 'x', input: -1, cached_input: 0, output: 0 }));
  expect(done.payload).toMatchObject({ code: 'invalid', field: 'input', detail: 'input must be more' });
  expect(store.getState().settings.error).toBe('');
  await store.dispatch(loadPrices());
  expect(store.getState().settings.error).toBe('input must be more');
});
