// HTTP exchanges: their parameters, and the command that sends them again.

import type { HttpRequest } from './types';

/** What a request carries, by name: the query, and a form or flat JSON body. */
export function parameters(request: HttpRequest): [string, string][] {
  const found: [string, string][] = [];
  const query = request.url.split('#')[0]?.split('?').slice(1).join('?') ?? '';
  for (const [name, value] of new URLSearchParams(query)) found.push([name, value]);
  const body = request.body ?? '';
  const type = (request.content_type ?? headerOf(request.headers, 'content-type') ?? '').toLowerCase();
  if (type.includes('form-urlencoded') || (!type && /^[\w%.+[\]-]+=/.test(body))) {
    for (const [name, value] of new URLSearchParams(body)) found.push([name, value]);
  } else if (type.includes('json') || body.startsWith('{')) {
    try {
      flatten(JSON.parse(body), '', found);
    } catch {
      // Not JSON after all: it is shown raw.
    }
  }
  return found.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function flatten(value: unknown, name: string, into: [string, string][]): void {
  if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) flatten(inner, name ? `${name}[${key}]` : key, into);
  } else if (name) into.push([name, typeof value === 'string' ? value : JSON.stringify(value)]);
}

export function headerOf(headers: readonly [string, string][], name: string): string | null {
  return headers.find(([each]) => each.toLowerCase() === name)?.[1] ?? null;
}

/** Sent by the connection itself, or wrong after an edit. */
const LEFT_OUT = new Set(['host', 'content-length', 'connection', 'accept-encoding', 'transfer-encoding']);

/** A command for a POSIX shell; nothing in it is read by the shell. */
export function curl(request: HttpRequest): string {
  const words = ['curl'];
  if (request.method.toUpperCase() !== 'GET') words.push('-X', quoted(request.method.toUpperCase()));
  for (const [name, value] of request.headers) {
    if (!LEFT_OUT.has(name.toLowerCase()) && !value.includes('•')) words.push('-H', quoted(`${name}: ${value}`));
  }
  if (request.body) words.push('--data-binary', quoted(request.body));
  words.push(quoted(request.url));
  return words.join(' ');
}

function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

export type Language = 'json' | 'xml' | 'sip' | 'sdp' | 'text';

/** What a body is, by its type and its first letter. */
export function languageOf(contentType: string | null | undefined, body: string | null | undefined): Language {
  const type = (contentType ?? '').toLowerCase();
  const first = (body ?? '').trimStart()[0];
  if (type.includes('json') || ((first === '{' || first === '[') && !type.includes('html'))) return 'json';
  if (type.includes('xml') || type.includes('html') || first === '<') return 'xml';
  return type.includes('sdp') ? 'sdp' : 'text';
}

/** The scheme, host and path of an address, without its query. */
export function shortUrl(url: string): { origin: string; path: string } {
  try {
    const parsed = new URL(url);
    return { origin: parsed.host, path: parsed.pathname };
  } catch {
    return { origin: '', path: url.split('?')[0] ?? url };
  }
}
