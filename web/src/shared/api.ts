import { EventSourceParserStream } from 'eventsource-parser/stream';
import { patiently } from './patiently';
import type { Refusal, ServerEvent } from './protocol';

const REFRESH_KEY = 'omnichat-refresh';
/** The server sends a heartbeat every 15 to 25 s. */
const SILENT_MS = 45_000;
const FIRST_MS = 15_000;
const SUSPECT_MS = 5000;
/** A browser may send a request on a connection that has died, and would wait for ever. */
const GRANT_MS = 15_000;
const CALL_MS = 60_000;

/** An event stream was given up because the WebSocket has reconnected, and brings the rest of the answer. */
export class Superseded extends Error {}

/** What the server said of a refused request. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly field: string | undefined;
  /** Seconds to wait, if the server said so. */
  readonly retryAfter: number | undefined;
  constructor(status: number, code: string, detail: string, field?: string, retryAfter?: number) {
    super(detail);
    this.status = status;
    this.code = code;
    this.field = field;
    this.retryAfter = retryAfter;
  }
}

/** What a person is told of a request that failed. */
export function failureOf(e: unknown): Refusal {
  if (!(e instanceof ApiError)) return { code: 'network', detail: 'The server cannot be reached.' };
  return { code: e.code, detail: e.message, field: e.field, retry_after: e.retryAfter };
}

interface TokenResponse {
  access_token: string;
  expires_in: number;
  refresh_token?: string;
}

/**
 * The server, for one tab. On the server's own site the refresh token is a cookie that no script sees; from another
 * site it is kept for the tab.
 */
export class Api {
  readonly base: string;
  private token = '';
  /** When the token is to be renewed: a minute before its end, or sooner if it is short-lived. */
  private renewAt = 0;
  /** For each event stream that is read: how long it may stay silent from now on, and why it is given up after that. */
  private readonly reads = new Set<(ms: number, why?: Error) => void>();
  private refreshing: Promise<boolean> | undefined;
  /** Aborted when the login ends: what was asked for one person is not answered to the next. */
  private session = new AbortController();
  private readonly channel = new BroadcastChannel('omnichat');
  /** Called when the login has ended, here or in another tab. */
  onLogout: () => void = () => {};

  constructor(base: string) {
    this.base = base.replace(/\/$/, '');
    this.channel.onmessage = (e) => {
      if (e.data === 'logout') this.forget();
    };
  }

  private get sameSite(): boolean {
    return this.base === '';
  }

  private forget(): void {
    this.token = '';
    sessionStorage.removeItem(REFRESH_KEY);
    this.session.abort(new ApiError(401, 'unauthenticated', 'You are logged out.'));
    this.session = new AbortController();
    this.onLogout();
  }

  private async grant(form: Record<string, string>): Promise<void> {
    const body = new URLSearchParams(this.sameSite ? { ...form, cookie: 'true' } : form);
    const res = await fetch(`${this.base}/token`, { method: 'POST', body, signal: AbortSignal.timeout(GRANT_MS) });
    if (!res.ok) throw await problem(res);
    const got = (await res.json()) as TokenResponse;
    this.token = got.access_token;
    this.renewAt = Date.now() + 1000 * Math.max(got.expires_in - 60, got.expires_in / 2);
    if (got.refresh_token) sessionStorage.setItem(REFRESH_KEY, got.refresh_token);
  }

  logIn(username: string, password: string): Promise<void> {
    return this.grant({ grant_type: 'password', username, password });
  }

  async logOut(): Promise<void> {
    const token = sessionStorage.getItem(REFRESH_KEY);
    const body = new URLSearchParams(token ? { token } : {});
    const res = await fetch(`${this.base}/token/revoke`, { method: 'POST', body });
    if (!res.ok) throw await problem(res); // the cookie is still good, so the person is not logged out
    this.channel.postMessage('logout');
    this.forget();
  }

  /** Gets a new access token; false if the login has ended. One tab at a time, so that the cookie rotates in order. */
  refresh(): Promise<boolean> {
    this.refreshing ??= this.refreshOnce().finally(() => {
      this.refreshing = undefined;
    });
    return this.refreshing;
  }

  private async refreshOnce(): Promise<boolean> {
    const run = async () => {
      const form: Record<string, string> = { grant_type: 'refresh_token' };
      if (!this.sameSite) {
        const token = sessionStorage.getItem(REFRESH_KEY);
        if (!token) return false;
        form.refresh_token = token;
      }
      try {
        await this.grant(form);
        return true;
      } catch (e) {
        if (e instanceof ApiError && e.status < 500 && e.status !== 429) return false;
        throw e;
      }
    };
    const ok = await ('locks' in navigator ? navigator.locks.request('omnichat-refresh', run) : run());
    if (!ok && this.token) this.forget();
    return ok;
  }

  /** An access token that will not run out soon; it is renewed if need be. */
  async freshToken(): Promise<string> {
    if (!this.token || Date.now() >= this.renewAt) await this.refresh();
    return this.token;
  }

  /** When the token is to be renewed, in ms from now. */
  get renewIn(): number {
    return Math.max(1000, this.renewAt - Date.now());
  }

  /** The login that holds now: aborted with an ApiError when it ends. */
  get login(): AbortSignal {
    return this.session.signal;
  }

  /** Makes a call until it succeeds or is refused, or the login has ended. */
  patiently<T>(call: () => Promise<T>): Promise<T> {
    const { login } = this;
    return patiently(async () => {
      login.throwIfAborted();
      return call();
    });
  }

  /** The server does not take the token any more. */
  distrust(): void {
    this.renewAt = 0;
  }

  /** The WebSocket was lost and is back. What broke it may have broken event streams: they must say something soon. */
  suspect(): void {
    for (const allowSilence of this.reads) allowSilence(SUSPECT_MS, new Superseded());
  }

  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const { login } = this;
    const signal = init.signal ? AbortSignal.any([init.signal, login]) : login;
    for (let tried = false; ; tried = true) {
      const headers = new Headers(init.headers);
      headers.set('Authorization', `Bearer ${await this.freshToken()}`);
      login.throwIfAborted();
      if (typeof init.body === 'string') headers.set('Content-Type', 'application/json');
      const res = await fetch(this.base + path, { ...init, headers, signal });
      if (res.ok) return res;
      if (res.status === 401 && !tried && (await this.refresh())) continue;
      throw await problem(res);
    }
  }

  async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const res = await this.fetch(path, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(CALL_MS),
    });
    return (res.status === 204 || res.status === 202 ? undefined : await res.json()) as T;
  }

  /** Uploads a file and reports its progress, which fetch cannot. */
  async upload<T>(path: string, file: Blob, progress: (part: number) => void, removed: AbortSignal): Promise<T> {
    const signal = AbortSignal.any([removed, this.login]);
    for (let tried = false; ; tried = true) {
      const res = await send(this.base + path, await this.freshToken(), file, progress, signal);
      if (res.ok) return (await res.json()) as T;
      if (res.status === 401 && !tried && (await this.refresh())) continue;
      throw await problem(res);
    }
  }

  async register(username: string, password: string): Promise<void> {
    const res = await fetch(`${this.base}/users`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ username, password }),
    });
    if (!res.ok) throw await problem(res);
  }

  /** Reads the events of an event stream. It fails when nothing arrives any more, not even heartbeats. */
  async *events(path: string, init: RequestInit): AsyncGenerator<ServerEvent> {
    const dead = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const allowSilence = (ms: number, why?: Error) => {
      clearTimeout(timer);
      timer = setTimeout(() => dead.abort(why), ms);
    };
    allowSilence(FIRST_MS);
    this.reads.add(allowSilence);
    try {
      const res = await this.fetch(path, { ...init, signal: dead.signal });
      if (res.status === 204 || !res.body) return;
      const heard = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
        transform(bytes, out) {
          allowSilence(SILENT_MS);
          out.enqueue(bytes);
        },
      });
      const reader = res.body
        .pipeThrough(heard)
        .pipeThrough(new TextDecoderStream())
        .pipeThrough(new EventSourceParserStream())
        .getReader();
      try {
        for (;;) {
          const { done, value } = await reader.read();
          if (done) return;
          yield JSON.parse(value.data) as ServerEvent;
        }
      } finally {
        reader.cancel().catch(() => {});
      }
    } finally {
      clearTimeout(timer);
      this.reads.delete(allowSilence);
    }
  }

  socketURL(): string {
    return `${(this.base || location.origin).replace(/^http/, 'ws')}/ws`;
  }
}

/** POSTs a file with XMLHttpRequest. */
function send(
  url: string,
  token: string,
  file: Blob,
  progress: (part: number) => void,
  signal: AbortSignal,
): Promise<Response> {
  return new Promise((done, failed) => {
    signal.throwIfAborted();
    const xhr = new XMLHttpRequest();
    const abort = () => xhr.abort();
    xhr.open('POST', url);
    xhr.setRequestHeader('Authorization', `Bearer ${token}`);
    xhr.setRequestHeader('Content-Type', file.type || 'application/octet-stream');
    xhr.upload.onprogress = (e) => e.lengthComputable && progress(e.loaded / e.total);
    xhr.onload = () => {
      const retryAfter = xhr.getResponseHeader('Retry-After');
      const headers: HeadersInit = retryAfter ? { 'Retry-After': retryAfter } : {};
      done(new Response(xhr.responseText || null, { status: xhr.status, headers }));
    };
    xhr.onerror = () => failed(new TypeError('The upload broke off.'));
    xhr.onabort = () => failed(signal.reason);
    xhr.onloadend = () => signal.removeEventListener('abort', abort);
    signal.addEventListener('abort', abort);
    xhr.send(file);
  });
}

async function problem(res: Response): Promise<ApiError> {
  const p = (await res.json().catch(() => ({}))) as { code?: string; detail?: string; field?: string };
  const wait = Number(res.headers.get('Retry-After')) || undefined;
  const detail = p.detail ?? `The server answered ${res.status}.`;
  return new ApiError(res.status, p.code ?? 'internal', detail, p.field, wait);
}
