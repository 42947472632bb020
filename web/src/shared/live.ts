import { WebSocket as Reconnecting } from 'partysocket';
import type { Api } from './api';
import { Batcher } from './batcher';
import { patiently } from './patiently';
import { parseLines, type ServerEvent } from './protocol';

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

/** How long the server may be silent before it is asked whether it is there, and how long it may take to say so. */
const SILENT_MS = 20_000;
const ANSWER_MS = 10_000;
const AGAIN_MS = 1000;
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
  private opened = 0;
  private renew: ReturnType<typeof setTimeout> | undefined;
  private again: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;

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
      this.opened++;
      this.authenticate();
    };
    this.ws.onclose = (e) => {
      this.rest();
      this.lost = true;
      if (e.code === UNAUTHENTICATED) api.distrust();
      state.online(false);
    };
    this.ws.onmessage = (e) => {
      this.listen();
      for (const event of parseLines(String(e.data))) this.take(event);
    };
    window.addEventListener('online', this.check);
    document.addEventListener('visibilitychange', this.check);
  }

  /** Stops what is of one connection. */
  private rest(): void {
    this.ready = false;
    this.opened++;
    this.subscribes.clear();
    for (const timer of [this.renew, this.again, this.silence]) clearTimeout(timer);
    this.again = undefined;
    this.batcher.flush();
  }

  /** Says who this is: on each connection first of all, and before a token runs out. */
  private async authenticate(): Promise<void> {
    const connection = this.opened;
    const current = () => !this.closed && this.opened === connection;
    const token = await patiently(async () => (current() ? this.api.freshToken() : ''));
    if (!token || !current()) return; // without a token the login is over, and the page goes
    this.send({ type: 'auth', token });
    this.renew = setTimeout(() => this.authenticate(), this.api.renewIn);
  }

  /** A connection can die without a word: one that stays silent is asked, and then given up. */
  private listen(): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(this.check, SILENT_MS);
  }

  private readonly check = (): void => {
    if (!this.ready) return;
    this.send({ type: 'ping' });
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.ws.reconnect(), ANSWER_MS);
  };

  private take(event: ServerEvent): void {
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
        this.batcher.flush(); // what comes before it is not what was asked for
        if (session && event.version) this.state.subscribed(session, event.version);
        return;
      }
      case 'error': {
        const session = this.subscribes.get(event.ref);
        this.subscribes.delete(event.ref);
        if (!session || session !== this.session) return;
        if (event.code === 'not_found') this.state.missing(session);
        else this.again = setTimeout(() => this.follow(this.session), AGAIN_MS);
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
    clearTimeout(this.again);
    this.again = undefined;
    if (this.session && this.session !== session && this.ready) {
      this.send({ type: 'unsubscribe', ref: ++this.ref, session_id: this.session });
    }
    this.session = session;
    if (session && this.ready) this.subscribe(session);
  }

  private subscribe(session: string): void {
    this.batcher.flush(); // before it is said where the page stands
    this.subscribes.set(++this.ref, session);
    this.send({ type: 'subscribe', ref: this.ref, session_id: session, positions: this.state.positions(session) });
  }

  /** Asks again from where the page stands, unless that has been asked and not been answered yet. */
  catchUp(): void {
    const asked = this.again !== undefined || [...this.subscribes.values()].some((s) => s === this.session);
    if (!asked) this.follow(this.session);
  }

  close(): void {
    this.closed = true;
    this.rest();
    window.removeEventListener('online', this.check);
    document.removeEventListener('visibilitychange', this.check);
    this.ws.close();
  }
}
