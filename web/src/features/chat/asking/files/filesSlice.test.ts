import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { makeStore } from '../../../../app/store';
import { Api, ApiError } from '../../../../shared/api';
import { loggedOut } from '../../../../shared/events';
import { loadLimits } from '../../../../shared/limitsSlice';
import { attachFiles, filesMoved, filesSent, removeFile } from './filesSlice';
import * as scale from './scaleImage';

vi.mock('./scaleImage', { spy: true });

const limits = {
  file_bytes: 100,
  files_per_prompt: 2,
  daily_tokens: 0,
  daily_cost: 0,
  used_tokens: 0,
  used_cost: 0,
};

beforeEach(() => sessionStorage.clear());
afterEach(() => {
  vi.restoreAllMocks();
});

function page() {
  const api = new Api('');
  const upload = vi.spyOn(api, 'upload');
  const json = vi.spyOn(api, 'json').mockResolvedValue(undefined);
  const store = makeStore(api);
  store.dispatch(loadLimits.fulfilled(limits, ''));
  return { upload, json, store, files: () => store.getState().files.drafts.new ?? [] };
}

const text = (name: string, content: string) => new File([content], name, { type: 'text/plain' });
const uploaded = (name: string) => ({ id: `id of ${name}`, name, media_type: 'text/plain', size: 3 });

it('uploads what is attached, and keeps it for a reload', async () => {
  const p = page();
  p.upload.mockImplementation(async (path, _file, progress) => {
    progress(0.5);
    expect(p.files()[0].progress).toBe(0.5);
    return uploaded(decodeURIComponent(path.split('name=')[1])) as never;
  });
  await p.store.dispatch(attachFiles({ draft: 'new', files: [text('a b.txt', 'abc')] }));
  expect(p.files()).toMatchObject([{ id: 'id of a b.txt', name: 'a b.txt', progress: 1, error: '' }]);
  expect(makeStore(new Api('')).getState().files.drafts.new).toMatchObject([{ id: 'id of a b.txt' }]);

  p.store.dispatch(filesSent('new'));
  expect(sessionStorage.length).toBe(0);
});

it('says of each file why it is refused, and sends none of those', async () => {
  const p = page();
  p.upload.mockResolvedValue(uploaded('x') as never);
  const files = [
    text('empty', ''),
    text('long', 'x'.repeat(101)),
    new File([new Uint8Array([1, 0, 2])], 'program', { type: '' }),
    text('one', 'abc'),
    text('two', 'abc'),
    text('three', 'abc'),
  ];
  for (const file of files) await p.store.dispatch(attachFiles({ draft: 'new', files: [file] }));
  expect(p.files().map((f) => f.error)).toEqual([
    'The file is empty.',
    '101 bytes is too large: 100 bytes at most.',
    'Neither a PNG, JPEG, GIF or WebP image nor text.',
    '',
    '',
    'Only 2 files go with one message.',
  ]);
  expect(p.upload).toHaveBeenCalledTimes(2);
});

it('uploads what an image has become, under its new name', async () => {
  const p = page();
  vi.mocked(scale.fitted).mockImplementationOnce(async () => {
    expect(p.files()).toMatchObject([{ name: 'a.png', size: 200, preparing: true }]);
    return { file: new File(['abc'], 'a.jpg', { type: 'image/jpeg' }), note: 'Scaled down to 3 × 1' };
  });
  p.upload.mockImplementation(async (path, file) => {
    expect(path).toContain('name=a.jpg');
    expect(p.files()).toMatchObject([{ name: 'a.jpg', size: file.size, media_type: 'image/jpeg', preparing: false }]);
    return { ...uploaded('a.jpg'), media_type: 'image/jpeg' } as never;
  });
  const image = new File([new Uint8Array(200)], 'a.png', { type: 'image/png' }); // over the limit as it is
  await p.store.dispatch(attachFiles({ draft: 'new', files: [image] }));
  expect(p.files()).toMatchObject([{ id: 'id of a.jpg', error: '', note: 'Scaled down to 3 × 1' }]);
});

it('says what is wrong with an image, and uploads none', async () => {
  const p = page();
  const cut = new File([new Uint8Array([0x89, 0x50, 0x4e, 0x47])], 'a.png', {
    type: 'image/png',
  });
  await p.store.dispatch(attachFiles({ draft: 'new', files: [cut] }));
  expect(p.files()).toMatchObject([{ error: 'The image is damaged or not whole.' }]);
  expect(p.upload).not.toHaveBeenCalled();
});

it('says in a sentence what the server does not take', async () => {
  const p = page();
  p.upload.mockRejectedValue(new ApiError(400, 'invalid', 'file is not a whole image', 'file'));
  await p.store.dispatch(attachFiles({ draft: 'new', files: [text('a', 'abc')] }));
  expect(p.files()).toMatchObject([{ name: 'a', error: 'The file is not a whole image.' }]);
});

it('takes a file back while it is on its way', async () => {
  const p = page();
  p.upload.mockImplementation(
    (_path, _file, _progress, signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  );
  const attaching = p.store.dispatch(attachFiles({ draft: 'new', files: [text('a', 'abc')] }));
  await vi.waitFor(() => expect(p.upload).toHaveBeenCalled());
  await p.store.dispatch(removeFile({ draft: 'new', file: p.files()[0] }));
  await attaching;
  expect(p.files()).toEqual([]);
  expect(p.json).not.toHaveBeenCalled();
});

it('takes a file that is on its way along into the session of a new chat', async () => {
  const p = page();
  p.upload.mockImplementation(async () => {
    p.store.dispatch(filesMoved('s'));
    return uploaded('a') as never;
  });
  await p.store.dispatch(attachFiles({ draft: 'new', files: [text('a', 'abc')] }));
  expect(p.files()).toEqual([]);
  expect(p.store.getState().files.drafts.s).toMatchObject([{ id: 'id of a', progress: 1 }]);
});

it('deletes what was uploaded, and forgets all at the end of a login', async () => {
  const p = page();
  p.upload.mockResolvedValue(uploaded('a') as never);
  await p.store.dispatch(attachFiles({ draft: 'new', files: [text('a', 'abc'), text('b', 'abc')] }));
  await p.store.dispatch(removeFile({ draft: 'new', file: p.files()[0] }));
  expect(p.json).toHaveBeenCalledWith('DELETE', '/attachments/id of a');
  p.store.dispatch(loggedOut());
  expect(p.files()).toEqual([]);
  expect(sessionStorage.length).toBe(0);
});
