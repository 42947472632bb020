import { createAction, createAsyncThunk, isAction, type Middleware } from '@reduxjs/toolkit';
import { type Api, ApiError, failureOf } from './api';
import type { Extra } from './callThunk';
import { answerCounts, newOrder, type Order } from './loadOrder';
import type { Changes, Failure } from './protocol';

/** What a load was asked from. It travels with the load, and its answer is dropped if this has moved on. */
interface Asked {
  /** What was asked for: of two answers about one thing, only the order in which they were asked for counts. */
  about: string;
  /** Whether the call changes what it is about, and answers with the changed state. */
  changes?: boolean;
  /** Of a list that has versions: the version that the page had; undefined: none of the list. */
  after?: number;
}

type Config = Extra & { pendingMeta: { asked: Asked } };

/** A thunk that reads something whole, or changes it and reads it again; a refusal is its rejection's payload. */
export function loadThunk<Result, Arg = void>(
  name: string,
  about: { about: string | ((arg: Arg) => string); changes?: boolean },
  call: (api: Api, arg: Arg) => Promise<Result>,
) {
  return createAsyncThunk<Result, Arg, Config & { rejectValue: Failure }>(
    name,
    async (arg, { extra, rejectWithValue }) => {
      try {
        return await call(extra.api, arg);
      } catch (e) {
        return rejectWithValue(failureOf(e));
      }
    },
    {
      getPendingMeta: ({ arg }) => ({
        asked: { ...about, about: typeof about.about === 'function' ? about.about(arg) : about.about },
      }),
    },
  );
}

/** The version of a list that the page has; undefined: none of it yet; 'gone': there is no such list any more. */
type VersionOf<State, Arg> = (state: State, arg: Arg) => number | undefined | 'gone';

/** For each thunk that reads changes: the version that its list has by now. */
const versions = new Map<string, VersionOf<unknown, unknown>>();

/**
 * A thunk that reads what changed of a list since the version that the page has, or all of it if the page has none. It
 * asks until the server answers; the HTTP status of a refusal is its rejection's payload, and 0 any other failure.
 */
export function changesThunk<T, State, Arg = void>(
  name: string,
  versionOf: VersionOf<State, Arg>,
  pathOf: (arg: Arg, after: number | undefined) => string,
) {
  const afterOf = (state: State, arg: Arg) => {
    const version = versionOf(state, arg);
    return version === 'gone' ? undefined : version;
  };
  versions.set(name, versionOf as VersionOf<unknown, unknown>);
  return createAsyncThunk<Changes<T>, Arg, Config & { state: State; rejectValue: number }>(
    name,
    async (arg, { extra, getState, rejectWithValue }) => {
      const path = pathOf(arg, afterOf(getState() as State, arg));
      try {
        return await extra.api.patiently(() => extra.api.json<Changes<T>>('GET', path));
      } catch (e) {
        return rejectWithValue(e instanceof ApiError ? e.status : 0);
      }
    },
    {
      getPendingMeta: ({ arg }, { getState }) => ({
        asked: { about: name, after: afterOf(getState() as State, arg) },
      }),
    },
  );
}

/** An answer came that no longer fits the page. */
export const answerDropped = createAction<{ load: string; arg: unknown; version: number | undefined }>(
  'loads/answerDropped',
);

/**
 * Whether changes that were asked for from one version continue the version that the page has by now. Older ones would
 * bring back what was deleted since, later ones would leave a hole, and the whole list does not say what is no more.
 */
export function continues(has: number | undefined | 'gone', after: number | undefined, version: number): boolean {
  if (has === 'gone') return false;
  if (has === undefined) return after === undefined;
  return after !== undefined && after <= has && version >= has;
}

interface Settled {
  type: string;
  payload: unknown;
  meta: { requestId: string; requestStatus: string; arg: unknown; asked?: Asked };
}

const isLoad = (action: unknown): action is Settled =>
  isAction(action) && typeof (action as Partial<Settled>).meta?.requestId === 'string';

/**
 * The one place where late answers are dropped: those to a login that has ended, those from a version that the page has
 * left, and those that were asked for before another answer about the same thing.
 */
export function dropLate(api: Api): Middleware {
  const orders = new Map<string, Order>();
  const waiting = new Map<string, Asked & { login: AbortSignal; at: number }>();
  return ({ getState }) =>
    (next) =>
    (action) => {
      if (!isLoad(action)) return next(action);
      const { requestId, requestStatus, arg, asked } = action.meta;
      if (asked) {
        const order = orders.get(asked.about) ?? newOrder();
        orders.set(asked.about, order);
        waiting.set(requestId, { ...asked, login: api.login, at: ++order.asked });
        return next(action);
      }
      const was = waiting.get(requestId);
      if (!was) return next(action); // a thunk that loads nothing
      waiting.delete(requestId);
      if (was.login.aborted) return; // what belonged to the login has been loggedOut, and what was asked with it
      const load = action.type.slice(0, action.type.lastIndexOf('/'));
      const versionOf = versions.get(load);
      if (versionOf) {
        if (requestStatus !== 'fulfilled') return next(action);
        const { version } = action.payload as Changes<unknown>;
        if (continues(versionOf(getState(), arg), was.after, version)) return next(action);
        return next(answerDropped({ load, arg, version }));
      }
      const order = orders.get(was.about) as Order;
      const counts =
        requestStatus === 'fulfilled' ? answerCounts(order, was.at, was.changes) : was.at >= order.answered;
      return next(counts ? action : answerDropped({ load, arg, version: undefined }));
    };
}
