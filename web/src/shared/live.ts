import { WebSocket as Reconnecting } from 'partysocket';
import type { Api } from './api';
import { Batcher } from './batcher';
import { patiently } from './patiently';
import { parseLines, type ServerEvent } from './protocol';

/** What the socket reads of the page's state and tells it. */
export interface LiveState {
  /** Where the page stands in the streams of a session that are under way. */
  positions(session: string): Record<string, number>;
  received(events: ServerEvent[]): void;
  /** The answer to a subscribe: the session's version. */
  subscribed(session: string, version: number): void;
  /** The session that was to be followed is not there. */
  missing(session: string): void;
  online(yes: boolean): void;
}

/** If the server is silent for SILENT_MS, it is asked whether it is there; it has ANSWER_MS to say so. */
const SILENT_MS = 20_000;
const ANSWER_MS = 10_000;
const RETRY_MS = 1000;
const UNAUTHENTICATED = 4401;

/** The one WebSocket of a tab. It follows the user's own feed and one session. */
export class Live {
  private readonly ws: Reconnecting;
  private readonly batcher: Batcher;
  private readonly api: Api;
  private readonly state: LiveState;
  private session: string | undefined;
  private ref = 0;
  private readonly subscribes = new Map<number, string>();
  private ready = false;
  private lost = false;
  private closed = false;
  private connection = 0;
  private renewTimer: ReturnType<typeof setTimeout> | undefined;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private silenceTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(api: Api, state: LiveState) {
    this.api = api;
    this.state = state;
    this.batcher = new Batcher((events) => state.received(events));
    this.ws = new Reconnecting(api.socketURL(), [], {
      minReconnectionDelay: 300,
      maxReconnectionDelay: 8000,
      maxEnqueuedMessages: 0,
    });
    this.ws.onopen = () => {
      this.connection++;
      this.authenticate();
    };
    this.ws.onclose = (e) => {
      this.endConnection();
      this.lost = true;
      if (e.code === UNAUTHENTICATED) api.distrust();
      state.online(false);
    };
    this.ws.onmessage = (e) => {
      this.expectMessages();
      for (const event of parseLines(String(e.data))) this.handle(event);
    };
    window.addEventListener('online', this.askWhetherThere);
    document.addEventListener('visibilitychange', this.askWhetherThere);
  }

  /** A connection has ended: its timers stop, and what it was asked will not be answered. */
  private endConnection(): void {
    this.ready = false;
    this.connection++;
    this.subscribes.clear();
    for (const timer of [this.renewTimer, this.retryTimer, this.silenceTimer]) clearTimeout(timer);
    this.retryTimer = undefined;
    this.batcher.flush();
  }

  /** Sends the access token: as the first message of each connection, and anew before the token runs out. */
  private async authenticate(): Promise<void> {
    const connection = this.connection;
    const current = () => !this.closed && this.connection === connection;
    const token = await patiently(async () => (current() ? this.api.freshToken() : ''));
    if (!token || !current()) return; // without a token the login is over, and this socket is about to be closed
    this.send({ type: 'auth', token });
    this.renewTimer = setTimeout(() => this.authenticate(), this.api.renewIn);
  }

  /** A connection can die without notice, so one that stays silent is asked whether it lives, and then given up. */
  private expectMessages(): void {
    clearTimeout(this.silenceTimer);
    this.silenceTimer = setTimeout(this.askWhetherThere, SILENT_MS);
  }

  private readonly askWhetherThere = (): void => {
    if (!this.ready) return;
    this.send({ type: 'ping' });
    clearTimeout(this.silenceTimer);
    this.silenceTimer = setTimeout(() => this.ws.reconnect(), ANSWER_MS);
  };

  private handle(event: ServerEvent): void {
    switch (event.type) {
      case 'ready':
        this.batcher.push(event);
        if (!this.ready) {
          this.ready = true;
          this.state.online(true);
          if (this.lost) this.api.suspect(); // what broke this connection may have broken others
          if (this.session) this.subscribe(this.session);
        }
        return;
      case 'ack': {
        const session = this.subscribes.get(event.ref);
        this.subscribes.delete(event.ref);
        this.batcher.flush(); // events that came before the acknowledgement are no answer to the subscribe
        if (session && event.version) this.state.subscribed(session, event.version);
        return;
      }
      case 'error': {
        const session = this.subscribes.get(event.ref);
        this.subscribes.delete(event.ref);
        if (!session || session !== this.session) return;
        if (event.code === 'not_found') this.state.missing(session);
        else this.retryTimer = setTimeout(() => this.follow(this.session), RETRY_MS);
        return;
      }
      case 'pong':
        return;
      default:
        this.batcher.push(event);
    }
  }

  private send(command: object): void {
    if (this.ws.readyState === 1) this.ws.send(JSON.stringify(command));
  }

  /** Follows a session, and no other; again from where the page stands if it is followed already. */
  follow(session: string | undefined): void {
    clearTimeout(this.retryTimer);
    this.retryTimer = undefined;
    if (this.session && this.session !== session && this.ready) {
      this.send({ type: 'unsubscribe', ref: ++this.ref, session_id: this.session });
    }
    this.session = session;
    if (session && this.ready) this.subscribe(session);
  }

  private subscribe(session: string): void {
    this.batcher.flush(); // the positions that are sent must include what has arrived
    this.subscribes.set(++this.ref, session);
    this.send({ type: 'subscribe', ref: this.ref, session_id: session, positions: this.state.positions(session) });
  }

  /** Asks again from where the page stands, unless that has been asked and not been answered yet. */
  catchUp(): void {
    const asked = this.retryTimer !== undefined || [...this.subscribes.values()].some((s) => s === this.session);
    if (!asked) this.follow(this.session);
  }

  close(): void {
    this.closed = true;
    this.endConnection();
    window.removeEventListener('online', this.askWhetherThere);
    document.removeEventListener('visibilitychange', this.askWhetherThere);
    this.ws.close();
  }
}
