import { createAsyncThunk, createSlice, type PayloadAction } from '@reduxjs/toolkit';
import { failureOf } from '../../../../shared/api';
import type { Extra } from '../../../../shared/callThunk';
import { loggedOut } from '../../../../shared/events';
import { type Attachment, type Limits, newId } from '../../../../shared/protocol';
import { isScalable, nameOf, refusalOf } from './fileRules';
import { keepBlob, keptBlob } from './keptBlobs';

const KEY = 'omnichat-files';

/** A file of a draft: on its way, uploaded or refused. */
export interface DraftFile {
  key: string;
  name: string;
  size: number;
  media_type: string;
  /** From 0 to 1. */
  progress: number;
  error: string;
  /** It is not known yet what will be uploaded. */
  preparing?: boolean;
  /** What was done to it before it was uploaded. */
  note?: string;
  /** Set once it is uploaded. */
  id?: string;
}

export interface FilesState {
  /** By session, or "new". */
  drafts: Record<string, DraftFile[]>;
}

type Config = Extra & { state: { files: FilesState; limits: { known: Limits | null } } };

export const draftOf = (session: string | null): string => session ?? 'new';
const uploads = new Map<string, AbortController>();

/** What the server says of a field that is called "file". */
const sentence = (detail: string) => detail.replace(/^file (.*)$/, 'The file $1.');

/** Uploads files for a draft, all at once. */
export const attachFiles = createAsyncThunk<void, { draft: string; files: File[] }, Config>(
  'files/attach',
  async ({ draft, files }, { extra, dispatch, getState }) => {
    const one = async (chosen: File) => {
      const key = newId();
      const good = (getState().files.drafts[draft] ?? []).filter((f) => !f.error).length;
      const limits = getState().limits.known;
      const first = { name: nameOf(chosen), size: chosen.size, media_type: chosen.type };
      dispatch(fileAdded({ draft, file: { ...first, key, progress: 0, error: '', preparing: true } }));
      const { file, note, error } =
        limits && good >= limits.files_per_prompt
          ? { file: chosen, note: '', error: `Only ${limits.files_per_prompt} files go with one message.` }
          : await prepared(chosen, limits);
      if (error) {
        dispatch(fileFailed({ key, error }));
        return;
      }
      if (!find(getState().files, key)) return; // removed meanwhile
      const control = new AbortController();
      uploads.set(key, control);
      keepBlob(key, file);
      const { size, type: media_type } = file;
      const name = nameOf(file);
      dispatch(filePrepared({ key, file: { name, size, media_type, note, preparing: false } }));
      try {
        const progress = (part: number) => dispatch(fileProgressed({ key, part }));
        const path = `/attachments?name=${encodeURIComponent(name)}`;
        const got = await extra.api.upload<Attachment>(path, file, progress, control.signal);
        keepBlob(got.id, file);
        dispatch(fileUploaded({ key, file: got }));
      } catch (e) {
        if (!control.signal.aborted) dispatch(fileFailed({ key, error: sentence(failureOf(e).detail) }));
      } finally {
        uploads.delete(key);
      }
    };
    await Promise.all(files.map(one));
  },
);

/** What is uploaded of a file, or why nothing is. */
async function prepared(file: File, limits: Limits | null): Promise<{ file: File; note: string; error: string }> {
  try {
    const scale = isScalable(file) ? await import('./scaleImage').catch(() => null) : null;
    const ready = scale ? await scale.fitted(file, nameOf(file), limits?.file_bytes) : { file, note: '' };
    return { ...ready, error: await refusalOf(ready.file, limits) };
  } catch (e) {
    return { file, note: '', error: e instanceof Error ? e.message : String(e) };
  }
}

/** Takes a file out of a draft, on the server as well. */
export const removeFile = createAsyncThunk<void, { draft: string; file: DraftFile }, Extra>(
  'files/remove',
  async ({ file }, { extra }) => {
    uploads.get(file.key)?.abort();
    if (file.id) await extra.api.json('DELETE', `/attachments/${file.id}`).catch(() => {}); // a message may have it
  },
);

/** A file's bytes. */
export const loadFile = createAsyncThunk<Blob, string, Extra>(
  'files/load',
  async (id, { extra, signal }) => keptBlob(id) ?? (await extra.api.fetch(`/attachments/${id}`, { signal })).blob(),
);

function kept(): FilesState['drafts'] {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? '{}') as FilesState['drafts'];
  } catch {
    return {};
  }
}

/** Keeps for a reload what has been uploaded. */
export function keepFiles(drafts: FilesState['drafts']): void {
  const done = Object.entries(drafts)
    .map(([draft, files]) => [draft, files.filter((f) => f.id)] as const)
    .filter(([, files]) => files.length > 0);
  if (done.length === 0) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, JSON.stringify(Object.fromEntries(done)));
}

type Keyed<T> = PayloadAction<{ key: string } & T>;

const filesSlice = createSlice({
  name: 'files',
  initialState: (): FilesState => ({ drafts: kept() }),
  reducers: {
    fileAdded(state, { payload }: PayloadAction<{ draft: string; file: DraftFile }>) {
      state.drafts[payload.draft] ??= [];
      state.drafts[payload.draft].push(payload.file);
    },
    filePrepared(state, { payload }: Keyed<{ file: Partial<DraftFile> }>) {
      const f = find(state, payload.key);
      if (f) Object.assign(f, payload.file);
    },
    fileProgressed(state, { payload }: Keyed<{ part: number }>) {
      const f = find(state, payload.key);
      if (f) f.progress = payload.part;
    },
    fileUploaded(state, { payload }: Keyed<{ file: Attachment }>) {
      const f = find(state, payload.key);
      if (f) Object.assign(f, payload.file, { progress: 1 });
    },
    fileFailed(state, { payload }: Keyed<{ error: string }>) {
      const f = find(state, payload.key);
      if (f) f.error = payload.error;
    },
    /** Puts uploaded files into a draft: those of a question that was not sent. */
    filesGivenBack(state, { payload }: PayloadAction<{ draft: string; files: Attachment[] }>) {
      const files = payload.files.map((f) => ({ ...f, key: f.id, progress: 1, error: '' }));
      state.drafts[payload.draft] = [...(state.drafts[payload.draft] ?? []), ...files];
    },
    /** What is attached in a new chat goes along into its session, also what is on its way. */
    filesMoved(state, { payload }: PayloadAction<string>) {
      const files = state.drafts[draftOf(null)];
      if (files) state.drafts[payload] = files;
      delete state.drafts[draftOf(null)];
    },
    filesSent(state, { payload }: PayloadAction<string>) {
      delete state.drafts[payload];
    },
  },
  extraReducers: (builder) => {
    builder
      .addCase(loggedOut, () => ({ drafts: {} }))
      .addCase(removeFile.pending, (state, { meta }) => {
        const { draft, file } = meta.arg;
        state.drafts[draft] = (state.drafts[draft] ?? []).filter((f) => f.key !== file.key);
      });
  },
});

function find(state: FilesState, key: string): DraftFile | undefined {
  return Object.values(state.drafts)
    .flat()
    .find((f) => f.key === key);
}

export const {
  fileAdded,
  filePrepared,
  fileProgressed,
  fileUploaded,
  fileFailed,
  filesGivenBack,
  filesMoved,
  filesSent,
} = filesSlice.actions;
export const filesReducer = filesSlice.reducer;
