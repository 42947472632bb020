import { ApiError } from './api';

const FIRST_MS = 400;
const MOST_MS = 8000;

const NO_ROOM = 507; // a refusal: to ask again does not help

/** Whether a call failed because the server is away, not because it refused. */
export const isAway = (e: unknown) =>
  !(e instanceof ApiError) || (e.status >= 500 && e.status !== NO_ROOM) || e.status === 429;

/** Makes a call until it succeeds or is refused, waiting longer each time while the server is away. */
export async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (let wait = FIRST_MS; ; wait = Math.min(MOST_MS, 2 * wait)) {
    try {
      return await call();
    } catch (e) {
      if (!isAway(e)) throw e;
    }
    await new Promise((done) => setTimeout(done, wait * (0.75 + Math.random() / 2)));
  }
}
