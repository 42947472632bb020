import type { Api } from './api';

/** What every thunk gets beside the store. */
export interface Extra {
  extra: { api: Api };
}
