import { WebSocket as Reconnecting } from 'partysocket';
import type { Api } from './api';
import { Batcher } from './batch';
import { parseLines, type ServerEvent } from './protocol';

export interface LiveState {
  /** Where the page stands in the streams of a session that are under way. */
  positions(session: string): Record<string, number>;
  received(events: ServerEvent[]): void;
  /** The answer to a subscribe: the session's version. */
  subscribed(session: string, version: number): void;
  online(yes: boolean): void;
}

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
  private renew: ReturnType<typeof setTimeout> | undefined;

  constructor(api: Api, state: LiveState) {
    this.api = api;
    this.state = state;
    this.batcher = new Batcher((events) => state.received(events));
    this.ws = new Reconnecting(api.socketURL(), [], {
      minReconnectionDelay: 300,
      maxReconnectionDelay: 8000,
      maxEnqueuedMessages: 0,
    });
    this.ws.onopen = () => this.authenticate();
    this.ws.onclose = () => {
      this.ready = false;
      clearTimeout(this.renew);
      this.batcher.flush();
      state.online(false);
    };
    this.ws.onmessage = (e) => {
      for (const event of parseLines(String(e.data))) this.take(event);
    };
  }

  private async authenticate(): Promise<void> {
    const token = await this.api.freshToken().catch(() => '');
    if (!token) {
      this.ws.reconnect();
      return;
    }
    this.send({ type: 'auth', token });
    this.renew = setTimeout(() => this.authenticate(), this.api.renewIn);
  }

  private take(event: ServerEvent): void {
    switch (event.type) {
      case 'ready':
        this.batcher.push(event);
        if (!this.ready) {
          this.ready = true;
          this.state.online(true);
          if (this.session) this.subscribe(this.session);
        }
        return;
      case 'ack': {
        const session = this.subscribes.get(event.ref);
        this.subscribes.delete(event.ref);
        if (session && event.version) this.state.subscribed(session, event.version);
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
    if (this.session && this.session !== session && this.ready) {
      this.send({ type: 'unsubscribe', ref: ++this.ref, session_id: this.session });
    }
    this.session = session;
    if (session && this.ready) this.subscribe(session);
  }

  private subscribe(session: string): void {
    this.subscribes.set(++this.ref, session);
    this.send({ type: 'subscribe', ref: this.ref, session_id: session, positions: this.state.positions(session) });
  }

  close(): void {
    clearTimeout(this.renew);
    this.batcher.flush();
    this.ws.close();
  }
}
