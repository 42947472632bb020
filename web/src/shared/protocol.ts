/** What goes over the wire. The server's documents /openapi.yaml and /asyncapi.yaml have the details. */

export interface User {
  id: string;
  username: string;
  display_name: string;
  role: string;
}

export interface Session {
  id: string;
  title: string;
  model: string;
  system_prompt: string;
  temperature: number | null;
  max_tokens: number | null;
  reasoning_effort: string;
  version: number;
  created_at: string;
  updated_at: string;
}

/** What a person sets for one session; null and "" leave it to the model. */
export type SessionSettings = Pick<Session, 'system_prompt' | 'temperature' | 'max_tokens' | 'reasoning_effort'>;

/** Why an answer or a call failed, or a request was refused. */
export interface Failure {
  code: string;
  detail: string;
  /** Seconds to wait, if that helps. */
  retry_after?: number;
}

/** Why a request was refused. */
export interface Refusal extends Failure {
  /** What is wrong in it. */
  field?: string;
}

/** A file that was uploaded. */
export interface Attachment {
  id: string;
  name: string;
  media_type: string;
  size: number;
}

export interface Usage {
  input_tokens: number;
  output_tokens: number;
  cached_tokens?: number;
  reasoning_tokens?: number;
  estimated?: boolean;
  /** US dollars; absent if the price is unknown. */
  cost?: number;
}

export interface ToolCall {
  id: string;
  name: string;
  /** JSON, as the model wrote it. */
  arguments: string;
}

/** One use of a tool, from the model's first word of it to its result. */
export interface Call {
  id: string;
  /** server.name */
  tool: string;
  /** What a person may be shown for the tool's name; may be empty. */
  title: string;
  /** JSON, as the model writes it: it may be unfinished. */
  arguments: string;
  status: 'writing' | 'waiting' | 'running' | 'done' | 'failed' | 'denied' | 'unknown';
  /** What it waits for; null unless it does. */
  wait: Wait | null;
  result: CallResult | null;
  /** Why it failed. */
  error: Failure | null;
  started_at: string | null;
  ended_at: string | null;
}

/** What a call waits for: a person. */
export interface Wait {
  for: 'consent' | 'question' | 'sign_in';
  text: string;
  schema: Record<string, unknown> | null;
  url: string | null;
}

/** What a tool gave back. */
export interface CallResult {
  /** What the model reads of it. */
  text: string;
  /** How much it was. */
  bytes: number;
  /** The model reads less than there was; the whole is among the attachments. */
  cut: boolean;
  attachments: Attachment[];
}

/** A stretch of an answer of one kind. */
export type Part =
  | { type: 'text'; text: string }
  /** ms: how long it took, if that is known. */
  | { type: 'reasoning'; text: string; ms?: number }
  | { type: 'call'; call: Call };

/** What a person should know of an answer. */
export interface Notice {
  code: string;
  detail: string;
}

export type Status = 'streaming' | 'complete' | 'stopped' | 'interrupted' | 'error';

export interface Message {
  id: string;
  session_id: string;
  parent_id: string | null;
  role: 'user' | 'assistant' | 'system';
  /** The text parts, joined. */
  content: string;
  /** The reasoning parts, joined. */
  reasoning: string;
  /** Of an answer. A server of before does not say them. */
  parts?: Part[];
  status: Status;
  /** Why it ended; null while it streams. */
  finish_reason?: string | null;
  model: string;
  usage: Usage | null;
  error: Failure | null;
  seq: number;
  attachments: Attachment[];
  tool_calls?: ToolCall[];
  notices?: Notice[];
  thinking_ms?: number;
  version: number;
  created_at: string;
  finished_at: string | null;
}

/** US dollars for a million tokens. */
export interface Price {
  input: number;
  cached_input: number;
  output: number;
}

/** Something about how the server is set up. */
export interface Warning {
  code: string;
  detail: string;
}

export interface ModelPrice extends Price {
  model: string;
  custom: boolean;
}

export interface Model {
  id: string;
  provider: string;
  name: string;
  /** Tokens; 0: unknown. */
  context: number;
  /** null: unknown. */
  vision: boolean | null;
  reasoning: boolean;
  price: Price | null;
}

export interface Limits {
  file_bytes: number;
  files_per_prompt: number;
  /** 0: no limit. */
  daily_tokens: number;
  daily_cost: number;
  used_tokens: number;
  used_cost: number;
  /** Bytes of files and messages, the quota 0 without a limit. A server of before does not say it. */
  storage?: { used: number; quota: number };
}

export interface UserSettings {
  system_prompt: string;
  fallback_model: string;
}

export interface Endpoint {
  name: string;
  kind: string;
  base_url: string;
  source: 'settings' | 'admin' | 'user';
  has_key: boolean;
  /** Why its models are not listed. */
  error?: ListFailure | null;
}

/** Why a provider's models are not listed. */
export interface ListFailure {
  code: string;
  detail: string;
  /** The address that was asked, if this user has set the provider up. */
  asked?: string;
  /** The address at which it lists its models, if that was found. */
  base_url?: string;
}

export interface ModelList {
  items: Model[];
  failed: { provider: string; error: ListFailure }[];
}

export interface UsageSum {
  key: string;
  label: string;
  answers: number;
  /** That models made; no answers. */
  titles: number;
  input_tokens: number;
  output_tokens: number;
  cached_tokens: number;
  reasoning_tokens: number;
  cost: number;
  /** Answers and titles whose usage the provider did not report. */
  estimated: number;
  /** Answers and titles whose price was unknown. */
  unpriced: number;
}

export interface Changes<T> {
  items: T[];
  deleted: string[];
  version: number;
}

interface StartFields {
  message_id: string;
  seq: number;
  session_id: string;
  parent_id: string | null;
  model: string;
  version: number;
}
export type StartEvent = StartFields & { type: 'start' };
export type SnapshotEvent = StartFields & {
  type: 'snapshot';
  text: string;
  reasoning: string;
  /** A server of before does not say them. */
  parts?: Part[];
  notices?: Notice[];
};
export interface DeltaEvent {
  type: 'delta';
  message_id: string;
  from?: number;
  seq: number;
  /** Empty beside a call, arguments or a notice. */
  text?: string;
  reasoning?: string;
  /** Opens a part, or replaces the call of this id. */
  call?: Call;
  /** Whose arguments are added to. */
  call_id?: string;
  arguments?: string;
  notice?: Notice;
}
export interface FinishEvent {
  type: 'finish';
  message_id: string;
  seq: number;
  reason: string;
  error: Failure | null;
  usage?: Usage | null;
  /** Only if another model answered than start said. */
  model?: string;
  tool_calls?: ToolCall[];
  notices?: Notice[];
  thinking_ms?: number;
  version?: number;
}
export type StreamEvent = StartEvent | SnapshotEvent | DeltaEvent | FinishEvent;

export type FeedEvent =
  | { type: 'message'; version: number; message: Message }
  | { type: 'message_deleted'; version: number; session_id: string; message_id: string }
  | { type: 'session'; user_version: number; session: Session }
  | { type: 'session_deleted'; user_version: number; session_id: string }
  | { type: 'presence'; session_id: string; viewers: number }
  | { type: 'notice'; message_id: string; session_id: string; notice: Notice }
  | { type: 'version'; session_id?: string; user_id?: string; version: number };

export type ServerEvent =
  | StreamEvent
  | FeedEvent
  | { type: 'ready'; user_id: string; user_version: number }
  | { type: 'ack'; ref: number; version?: number }
  | { type: 'error'; ref: number; code: string; detail: string }
  | { type: 'pong' };

const kinds = ['call', 'arguments', 'notice', 'reasoning', 'text'] as const;

/** What a delta adds to an answer. */
export const kindOf = (e: DeltaEvent) => kinds.find((kind) => e[kind] !== undefined);

export function isStreamEvent(e: ServerEvent): e is StreamEvent {
  return e.type === 'start' || e.type === 'delta' || e.type === 'snapshot' || e.type === 'finish';
}

/** The events of a WebSocket message: one JSON object a line. */
export function parseLines(data: string): ServerEvent[] {
  return data.split('\n').map((line) => JSON.parse(line) as ServerEvent);
}

export function statusOf(reason: string): Status {
  return reason === 'stopped' || reason === 'interrupted' || reason === 'error' ? reason : 'complete';
}

/** A UUID, also where the page is served without TLS. */
export function newId(): string {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  const h = Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`;
}
