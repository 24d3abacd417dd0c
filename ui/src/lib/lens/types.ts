// What `GET …/lens/{ID}` answers. The server may leave out what is empty; `complete` puts it back.

export type Kind = 'sip' | 'hook' | 'flow' | 'audio' | 'key' | 'quality' | 'note';
export type Severity = 'warn' | 'err' | null;

export interface Finding {
  severity: 'err' | 'warn' | 'info';
  text: string;
  fix?: string | null;
  line?: number | null;
  column?: number | null;
  path?: string | null;
}

export interface LensEvent {
  /** Counts from 1 in the order of the journal. */
  n: number;
  /** Seconds from the first message. */
  t: number;
  /** Unix microseconds. */
  at: number;
  kind: Kind;
  from: string | null;
  to: string | null;
  party: string | null;
  title: string;
  detail: string;
  severity: Severity;
  /** How often it was sent. */
  repeat: number;
  /** When it was sent again. */
  also: number[];
  took_ms: number | null;
  /** The request this answers. */
  pair: number | null;
  findings: Finding[];
  class: 'req' | 'r1' | 'r2' | 'r3' | 'r4' | 'r5' | null;
  call_id: string | null;
  /** Of a hook: its number among the exchanges of the call. */
  exchange: number | null;
}

export interface Party {
  id: string;
  kind: 'caller' | 'swivel' | 'web' | 'callee' | 'trunk' | 'service';
  name: string;
  detail: string;
}

export interface Leg {
  call_id: string;
  party: string;
  direction: string;
  from: string;
  to: string;
  cdr_id: string | null;
  codec: string | null;
  answered: number | null;
  ended: number | null;
  cause: string | null;
  status: number | string | null;
  mos: number | null;
  loss_percent: number | null;
  jitter_ms: number | null;
}

export interface FlowBar {
  n: number;
  from: number;
  to: number | null;
  module: string;
  path: string;
  label: string;
  severity?: Severity;
}
export interface HookBar {
  n: number;
  from: number;
  to: number | null;
  label: string;
  severity: Severity;
}
export interface AudioBar {
  n: number;
  from: number;
  to: number | null;
  label: string;
  kind: 'prompt' | 'speech' | 'tone' | 'ringback' | 'bridge' | 'music' | 'stream';
}
export interface KeyMark {
  n: number;
  t: number;
  key: string;
  barge_in: boolean;
}
export interface Recording {
  id: string;
  from: number;
  to: number | null;
  channels: number;
  url: string;
  peaks: string;
}
export interface QualityCurve {
  leg: string;
  /** Time, loss in per cent, jitter in ms, MOS. */
  points: [number, number | null, number | null, number | null][];
}
export interface Lanes {
  flow: FlowBar[];
  hooks: HookBar[];
  audio: AudioBar[];
  keys: KeyMark[];
  recordings: Recording[];
  quality: QualityCurve[];
}

export interface Cause {
  code: string;
  what: string;
  why: string;
  todo: string;
  link: string | null;
  event: number | null;
}

export interface Lens {
  id: string;
  interaction_id: string | null;
  state: 'live' | 'ended';
  begin: number;
  end: number | null;
  from: string;
  to: string;
  account: string | null;
  callflow: { id: string; name: string } | null;
  result: 'completed' | 'failed' | 'refused' | 'running';
  sentence: string;
  cause: Cause | null;
  partial: string | null;
  parties: Party[];
  legs: Leg[];
  events: LensEvent[];
  lanes: Lanes;
}

/** What one event was, in full. */
export interface Detail extends LensEvent {
  message?: string;
  headers?: [string, string][];
  sdp?: { offer?: string | null; answer?: string | null; refused?: (string | number)[] } | null;
  request?: HttpRequest | null;
  response?: HttpResponse | null;
  timing?: Timing | null;
  error?: string | null;
  data?: unknown;
  chosen?: string | null;
  why?: string | null;
  text?: string | null;
  file?: string | null;
  stopped_by?: string | null;
  started?: number | null;
  ended?: number | null;
  [more: string]: unknown;
}

export interface HttpRequest {
  method: string;
  url: string;
  headers: [string, string][];
  body: string | null;
  content_type?: string | null;
  /** Bytes as sent; more than `body` holds where that is cut. */
  length?: number | null;
  purpose?: string | null;
}
export interface HttpResponse {
  status: number;
  headers: [string, string][];
  body: string | null;
  content_type?: string | null;
  pretty?: string | null;
  length?: number | null;
}
export interface Timing {
  dns_ms?: number | null;
  connect_ms?: number | null;
  tls_ms?: number | null;
  server_ms?: number | null;
  body_ms?: number | null;
  total_ms?: number | null;
  /** The connection was there already. */
  reused?: boolean | null;
  /** `connect_ms` includes the TLS handshake. */
  connect_with_tls?: boolean | null;
}

/** What a replay answered, beside what the call got. */
export interface Replayed {
  request: HttpRequest;
  response: HttpResponse | null;
  timing: Timing | null;
  error: string | null;
  during: HttpResponse | null;
  changes: string[];
}

type Loose<T> = { [K in keyof T]?: T[K] | null };

/** An event with everything the server left out. */
export function complete(given: Loose<LensEvent>): LensEvent {
  return {
    n: given.n ?? 0,
    t: given.t ?? 0,
    at: given.at ?? 0,
    kind: given.kind ?? 'note',
    from: given.from ?? null,
    to: given.to ?? null,
    party: given.party ?? null,
    title: given.title ?? '',
    detail: given.detail ?? '',
    severity: given.severity ?? null,
    repeat: given.repeat ?? 1,
    also: given.also ?? [],
    took_ms: given.took_ms ?? null,
    pair: given.pair ?? null,
    findings: given.findings ?? [],
    class: given.class ?? null,
    call_id: given.call_id ?? null,
    exchange: given.exchange ?? null,
  };
}

export function completeLanes(given: Loose<Lanes> | null | undefined): Lanes {
  return {
    flow: given?.flow ?? [],
    hooks: given?.hooks ?? [],
    audio: given?.audio ?? [],
    keys: given?.keys ?? [],
    recordings: given?.recordings ?? [],
    // A score begins at 1: what is below was not measured.
    quality: (given?.quality ?? []).map((curve) => ({ ...curve, points: curve.points.map(([t, loss, jitter, mos]) => [t, loss, jitter, mos !== null && mos >= 1 ? mos : null]) })),
  };
}

export function completeLens(given: Loose<Lens>): Lens {
  return {
    id: given.id ?? '',
    interaction_id: given.interaction_id ?? null,
    state: given.state ?? 'ended',
    begin: given.begin ?? 0,
    end: given.end ?? null,
    from: given.from ?? '',
    to: given.to ?? '',
    account: given.account ?? null,
    callflow: given.callflow ?? null,
    result: given.result ?? (given.state === 'live' ? 'running' : 'completed'),
    sentence: given.sentence ?? '',
    cause: given.cause ?? null,
    partial: given.partial ?? null,
    parties: given.parties ?? [],
    legs: given.legs ?? [],
    events: (given.events ?? []).map(complete),
    lanes: completeLanes(given.lanes),
  };
}

/** Whether an event is something to look at. */
export function isProblem(event: LensEvent): boolean {
  return event.severity !== null || event.findings.some((finding) => finding.severity !== 'info');
}
