import type { Call, DeltaEvent, Message, Notice, Part, ToolCall } from '../../../shared/protocol';

/** A part as the page holds it. */
export type HeldPart =
  | Exclude<Part, { type: 'reasoning' }>
  /** since: when this tab saw it begin, in ms. */
  | (Extract<Part, { type: 'reasoning' }> & { since?: number });

/** A message as the page holds it: what it says are its parts alone. */
export interface HeldMessage
  extends Omit<Message, 'content' | 'reasoning' | 'parts' | 'tool_calls' | 'thinking_ms' | 'notices'> {
  parts: HeldPart[];
  notices: Notice[];
  /** What the answer waits for before its first token. */
  waits_for?: string;
}

/** What a message says, without thoughts and calls. */
export function textOf(parts: HeldPart[]): string {
  let text = '';
  for (const p of parts) if (p.type === 'text') text += p.text;
  return text;
}

const copyOf = (p: Part): HeldPart => (p.type === 'call' ? { type: p.type, call: { ...p.call } } : { ...p });

/** The parts that a server tells, or what makes them if it is one of before. */
export function heldParts(of: Pick<Message, 'parts' | 'reasoning'>, text: string): HeldPart[] {
  if (of.parts) return of.parts.map(copyOf);
  const parts: HeldPart[] = [];
  if (of.reasoning) parts.push({ type: 'reasoning', text: of.reasoning });
  if (text) parts.push({ type: 'text', text });
  return parts;
}

const isCall = (p: HeldPart) => p.type === 'call';

/** A call that the model wrote, and nobody has made. */
const unmade = (c: ToolCall, i: number): Call => ({
  id: c.id || `call ${i}`,
  tool: c.name,
  title: '',
  arguments: c.arguments,
  status: 'writing',
  wait: null,
  result: null,
  error: null,
  started_at: null,
  ended_at: null,
});

/** Adds what is said of an answer as a whole, calls and how long it thought, unless there are parts of calls. */
export function addWhole(parts: HeldPart[], of: Pick<Message, 'tool_calls' | 'thinking_ms'>): void {
  if (parts.some(isCall)) return;
  const [thoughts, ...more] = parts.filter((p) => p.type === 'reasoning');
  if (thoughts && more.length === 0 && of.thinking_ms) thoughts.ms = of.thinking_ms;
  parts.push(...(of.tool_calls ?? []).map((c, i): HeldPart => ({ type: 'call', call: unmade(c, i) })));
}

/** A message of the server as the page holds it. */
export function held(m: Message): HeldMessage {
  const { content, reasoning, parts: _, tool_calls, thinking_ms, notices = [], ...rest } = m;
  const parts = heldParts(m, content);
  addWhole(parts, m);
  return { ...rest, parts, notices: [...notices] };
}

function open(parts: HeldPart[], part: HeldPart): void {
  const last = parts.at(-1);
  if (last?.type === 'reasoning' && last.since) last.ms ??= Math.max(1, Date.now() - last.since); // about
  parts.push(part);
}

/** Adds to an answer what a delta says. */
export function addDelta(m: Pick<HeldMessage, 'parts' | 'notices'>, e: DeltaEvent): void {
  const { parts } = m;
  const id = e.call?.id ?? e.call_id;
  const old = id === undefined ? undefined : parts.filter(isCall).find((p) => p.call.id === id);
  if (e.call) {
    const call = { ...e.call };
    if (old) old.call = call;
    else open(parts, { type: 'call', call });
  } else if (old) {
    old.call.arguments += e.arguments ?? '';
  }
  if (e.notice) m.notices.push(e.notice);
  for (const type of ['reasoning', 'text'] as const) {
    const text = e[type];
    if (!text) continue;
    const last = parts.at(-1);
    if (last?.type === type) last.text += text;
    else open(parts, type === 'text' ? { type, text } : { type, text, since: Date.now() });
  }
}
