// The API, as the page uses it: the same `/v2` any program may use.

import { session } from './session.svelte';

/** A refusal, in words, with what is needed to find it in the log. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly requestId: string,
    /** By field: what is wrong with it. */
    readonly fields: Record<string, string[]> = {},
    /** What this request cost of the requests a client may make, and what is left. */
    readonly tokens: { consumed: number; remaining: number } | undefined = undefined,
  ) {
    super(message);
  }
}

export interface Envelope<T> {
  data: T;
  next_start_key?: string;
  page_size?: number;
  revision?: string;
  request_id?: string;
}

export interface Ask {
  method?: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  data?: unknown;
  /** Sent as it is, instead of `data`. */
  body?: BodyInit;
  headers?: Record<string, string>;
  query?: Record<string, string | number | boolean | null | undefined>;
  signal?: AbortSignal;
  /** Goes on when the page is left. */
  keepalive?: boolean;
}

/** Asks `/v2/{path}`; `{account}` in the path stands for the signed-in account. */
export async function ask<T>(path: string, how: Ask = {}): Promise<Envelope<T>> {
  const response = await raw(path, how);
  const text = await response.text();
  let body: Envelope<T> & { message?: string; data?: unknown; tokens?: { consumed: number; remaining: number } };
  try {
    body = JSON.parse(text || '{}') as typeof body;
  } catch {
    throw new ApiError(response.status, `swivel answered ${response.status} with something that is not JSON.`, '');
  }
  if (!response.ok) {
    if (response.status === 401) session.set(null);
    throw new ApiError(
      response.status,
      words(body.data) ?? body.message ?? response.statusText,
      body.request_id ?? response.headers.get('x-request-id') ?? '',
      fields(body.data),
      body.tokens,
    );
  }
  return body;
}

/** What `ask` gives, without the envelope. */
export async function get<T>(path: string, query?: Ask['query'], signal?: AbortSignal): Promise<T> {
  return (await ask<T>(path, { query, signal })).data;
}

/** The response itself: files, CSV. */
export async function raw(path: string, how: Ask = {}): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json', ...how.headers };
  if (session.now) headers['x-auth-token'] = session.now.token;
  let body = how.body;
  if (how.data !== undefined) {
    headers['content-type'] = 'application/json';
    body = JSON.stringify({ data: how.data });
  }
  try {
    return await fetch(address(path, how.query), { method: how.method ?? (body ? 'PUT' : 'GET'), headers, body, signal: how.signal, keepalive: how.keepalive });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(0, 'swivel does not answer.', '');
  }
}

export function address(path: string, query: Ask['query'] = {}): string {
  const base = `/v2/${path}`.replace('{account}', `accounts/${session.now?.account ?? ''}`);
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') words.set(name, String(value));
  }
  const text = words.toString();
  return text ? `${base}?${text}` : base;
}

/** Why, in words, where the refusal says it. */
function words(data: unknown): string | null {
  const message = (data as { message?: unknown } | null)?.message;
  return typeof message === 'string' ? message : null;
}

function fields(data: unknown): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  if (typeof data !== 'object' || data === null) return found;
  for (const [field, rules] of Object.entries(data)) {
    if (typeof rules !== 'object' || rules === null) continue;
    found[field] = Object.values(rules).map((rule) => {
      const message = (rule as { message?: unknown } | null)?.message;
      return typeof message === 'string' ? message : JSON.stringify(rule);
    });
  }
  return found;
}
