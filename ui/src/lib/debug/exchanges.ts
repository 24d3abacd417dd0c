// Exchanges with callflow servers, from a call's lens, or from the debug log where the call was not traced.

import { headerOf, parameters, shortUrl } from '../lens/http';
import type { Finding, HttpRequest, HttpResponse, Lens, LensEvent, Timing } from '../lens/types';
import { milliseconds } from '../lens/words';

/** A row of `GET pivot/debug`. */
export interface DebugRow {
  call_id: string;
  debug_id: string;
  /** Gregorian seconds. */
  created: number;
  uri?: string;
  method?: string;
  status_code?: string | number | null;
  has_schema_errors?: boolean;
  has_json_errors?: boolean;
}

/** A document of `GET pivot/debug/{call}`. */
export interface DebugDocument {
  call_id: string;
  iteration: number;
  created: number;
  uri?: string;
  method?: string;
  req_headers?: Record<string, string>;
  req_body?: string;
  resp_status_code?: string;
  resp_headers?: Record<string, string>;
  resp_body?: string;
  schema_errors?: unknown;
  json_errors?: { before?: string; after?: string; message?: string };
  note?: string;
}

export interface Exchange {
  n: number;
  method: string;
  path: string;
  status: number | null;
  took_ms: number | null;
  severity: 'warn' | 'err' | null;
  /** What went wrong, short. */
  trouble: string | null;
  /** Of the events of the lens: the answer, or the question while there is none. */
  event: number | null;
  /** Seconds into the call. */
  t: number | null;
}

/** One exchange in full. */
export interface Full {
  request: HttpRequest | null;
  response: HttpResponse | null;
  timing: Timing | null;
  error: string | null;
  findings: Finding[];
}

const GREGORIAN = 62_167_219_200;

/** Gregorian seconds as Unix microseconds. */
export function micros(gregorian: number): number {
  return (gregorian - GREGORIAN) * 1e6;
}

/** What is reported to others, and sound that is fetched, is no question to a callflow server. */
const OTHERS = new Set(['webhook', 'recording', 'sound to play', 'text to speech']);

export function fromLens(lens: Lens): Exchange[] {
  const asked = lens.events.filter((event) => event.kind === 'hook' && event.exchange !== null && event.pair === null && !OTHERS.has(event.detail));
  return asked.map((question) => {
    const answer = lens.events.find((event) => event.pair === question.n && event.kind === 'hook') ?? null;
    const [method = '', path = ''] = question.title.split(' ');
    const status = /^\d{3}/.exec(answer?.title ?? '')?.[0];
    return {
      n: question.exchange ?? 0, method, path, status: status ? Number(status) : null, took_ms: answer?.took_ms ?? null, severity: worst([question, answer]),
      trouble: trouble(answer, lens.state === 'live'), event: (answer ?? question).n, t: question.t,
    };
  });
}

function worst(events: (LensEvent | null)[]): Exchange['severity'] {
  const all = events.flatMap((event) => (event ? [event.severity, ...event.findings.map((finding) => finding.severity)] : []));
  return all.includes('err') ? 'err' : all.includes('warn') ? 'warn' : null;
}

function trouble(answer: LensEvent | null, live: boolean): string | null {
  if (!answer) return live ? 'asking…' : 'no answer';
  if (!/^\d{3}/.test(answer.title)) return answer.took_ms === null ? 'no answer' : `no answer, ${milliseconds(answer.took_ms)}`;
  const broken = answer.findings.find((finding) => finding.severity === 'err' && typeof finding.line === 'number' && !finding.path);
  return broken ? `JSON error, line ${broken.line}` : null;
}

/** The exchanges of a call as the debug log has them. */
export function fromDocuments(documents: readonly DebugDocument[]): (Exchange & Full)[] {
  const found = new Map<number, Exchange & Full>();
  for (const document of documents) {
    let one = found.get(document.iteration);
    if (!one) {
      one = { n: document.iteration, method: '', path: '', status: null, took_ms: null, severity: null, trouble: null, event: null, t: null, request: null, response: null, timing: null, error: null, findings: [] };
      found.set(document.iteration, one);
    }
    if (document.uri !== undefined) {
      const headers = pairs(document.req_headers);
      one.method = (document.method ?? 'get').toUpperCase();
      one.path = shortUrl(document.uri).path;
      one.request = { method: one.method, url: document.uri, headers, body: document.req_body ?? '', content_type: headerOf(headers, 'content-type') };
    }
    if (document.resp_status_code !== undefined) {
      const headers = pairs(document.resp_headers);
      one.status = Number(document.resp_status_code);
      one.response = { status: one.status, headers, body: document.resp_body ?? '', content_type: headerOf(headers, 'content-type'), pretty: null };
      if (one.status >= 400) one.severity = 'err';
    }
    if (document.json_errors) {
      const before = (document.json_errors.before ?? '').split('\n');
      one.trouble = `JSON error, line ${before.length}`;
      one.severity = 'err';
      one.findings.push({ severity: 'err', text: document.json_errors.message ?? 'Not JSON.', line: before.length, column: (before.at(-1)?.length ?? 0) + 1 });
    }
    if (document.schema_errors) {
      one.severity ??= 'warn';
      one.findings.push(...schemaFindings(document.schema_errors));
    }
    if (document.note) {
      if (!one.response) {
        one.error = document.note;
        one.trouble = 'no answer';
        one.severity = 'err';
      } else one.findings.push({ severity: 'warn', text: document.note });
    }
  }
  return [...found.values()].sort((a, b) => a.n - b.n);
}

function pairs(headers: Record<string, string> | undefined): [string, string][] {
  return Object.entries(headers ?? {});
}

/** `[{path: {rule: {message}}}]` as findings. */
function schemaFindings(errors: unknown): Finding[] {
  const list: unknown[] = Array.isArray(errors) ? errors : [errors];
  return list.flatMap((each) => {
    if (typeof each !== 'object' || each === null) return [];
    return Object.entries(each).flatMap(([path, rules]) =>
      typeof rules === 'object' && rules !== null
        ? Object.values(rules).map((rule): Finding => {
            const message = (rule as { message?: unknown } | null)?.message;
            return { severity: 'warn', path, text: `${path}: ${typeof message === 'string' ? message : JSON.stringify(rule)}` };
          })
        : [],
    );
  });
}

/** Who called whom, from what the first request carried. */
export function ends(request: Pick<HttpRequest, 'url' | 'body'>): { from: string; to: string } | null {
  const given = new Map(parameters({ method: 'GET', headers: [], content_type: null, ...request }));
  const from = given.get('Caller-ID-Number') ?? given.get('From');
  const to = given.get('Request') ?? given.get('To');
  return from && to ? { from, to } : null;
}

/** `form body, kazoo format`. */
export function shape(request: HttpRequest): string {
  const names = new Set(parameters(request).map(([name]) => name));
  const format = names.has('CallSid') ? 'twiml format' : names.has('Call-ID') ? 'kazoo format' : '';
  const type = (request.content_type ?? '').toLowerCase();
  const body = !request.body ? 'query' : type.includes('json') ? 'JSON body' : type.includes('form') ? 'form body' : 'body';
  return [body, format].filter(Boolean).join(', ');
}

/** A test of one's own server, as a file: what was asked, and the answer that is wanted from now on. */
export function asTest(call: string, request: HttpRequest, response: HttpResponse): { name: string; text: string } {
  const secret = (name: string) => /^(authorization|cookie|x-twilio-signature)$/i.test(name);
  const { path } = shortUrl(request.url);
  const test = {
    call,
    request: { method: request.method, url: request.url, headers: Object.fromEntries(request.headers.filter(([name]) => !secret(name))), body: request.body || null },
    response: { status: response.status, content_type: response.content_type, body: response.body ?? '' },
  };
  return { name: `${request.method.toLowerCase()}-${path.replace(/\W+/g, '-').replace(/^-|-$/g, '') || 'root'}.json`, text: `${JSON.stringify(test, null, 2)}\n` };
}

/** The message as it was sent. */
export function rawRequest(request: HttpRequest): string {
  let path = request.url;
  let host = '';
  try {
    const url = new URL(request.url);
    path = url.pathname + url.search;
    host = url.host;
  } catch {
    // Shown as it stands.
  }
  const headers = headerOf(request.headers, 'host') === null && host ? [['host', host], ...request.headers] : request.headers;
  return `${request.method} ${path} HTTP/1.1\n${headers.map(([name, value]) => `${name}: ${value}\n`).join('')}\n${request.body ?? ''}`;
}

export function rawResponse(response: HttpResponse): string {
  return `HTTP/1.1 ${response.status}\n${response.headers.map(([name, value]) => `${name}: ${value}\n`).join('')}\n${response.body ?? ''}`;
}

export const ORDINALS = ['', 'First', 'Second', 'Third', 'Fourth', 'Fifth', 'Sixth', 'Seventh', 'Eighth', 'Ninth', 'Tenth'];

/** `24 ms faster`. */
export function difference(before: number | null | undefined, after: number | null | undefined): string {
  if (typeof before !== 'number' || typeof after !== 'number') return '';
  const by = Math.round(after - before);
  return by === 0 ? 'as fast' : `${milliseconds(Math.abs(by))} ${by < 0 ? 'faster' : 'slower'}`;
}
