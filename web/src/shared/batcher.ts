import { kindOf, type ServerEvent } from './protocol';

const EVERY_MS = 40;

/** Joins two deltas that follow each other in the same part; undefined if they do not. */
export function joinDeltas(a: ServerEvent, b: ServerEvent): ServerEvent | undefined {
  if (a.type !== 'delta' || b.type !== 'delta' || a.message_id !== b.message_id) return;
  if ((b.from ?? b.seq - 1) !== a.seq) return;
  const kind = kindOf(a);
  if (kind !== kindOf(b) || a.call_id !== b.call_id) return;
  if (kind !== 'text' && kind !== 'reasoning' && kind !== 'arguments') return;
  return { ...a, from: a.from ?? a.seq - 1, seq: b.seq, [kind]: `${a[kind]}${b[kind]}` };
}

/**
 * Hands deltas on at most once a frame and once per 40 ms, joined; everything else at once, and what was waiting
 * before it.
 */
export class Batcher {
  private waiting: ServerEvent[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private last = 0;
  private readonly out: (events: ServerEvent[]) => void;

  constructor(out: (events: ServerEvent[]) => void) {
    this.out = out;
  }

  push(event: ServerEvent): void {
    const last = this.waiting.at(-1);
    const joined = last && joinDeltas(last, event);
    if (joined) this.waiting[this.waiting.length - 1] = joined;
    else this.waiting.push(event);
    if (event.type !== 'delta') this.flush();
    else this.timer ??= setTimeout(() => this.onFrame(), Math.max(0, this.last + EVERY_MS - performance.now()));
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.last = performance.now();
    const events = this.waiting;
    this.waiting = [];
    if (events.length > 0) this.out(events);
  }

  private onFrame(): void {
    if (document.hidden) this.flush();
    else requestAnimationFrame(() => this.flush());
  }
}
