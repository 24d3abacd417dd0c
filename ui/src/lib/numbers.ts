// Where numbers lead: to the callflow that has them, and through it to a web server or a user.

import type { Row } from './names.svelte';

/** The callflow that takes calls to a number. */
export function leadsTo(flows: Row[], number: string): Row | undefined {
  const has = (row: Row, key: string) => (Array.isArray(row[key]) ? (row[key] as unknown[]).map(String) : []);
  const exact = flows.find((row) => has(row, 'numbers').includes(number));
  return exact ?? flows.find((row) => has(row, 'patterns').some((pattern) => matches(pattern, number)));
}

function matches(pattern: string, number: string): boolean {
  try {
    return new RegExp(pattern).test(number);
  } catch {
    return false;
  }
}

/** A callflow that does one thing with a number's calls. */
export function simpleFlow(number: string, what: 'hook' | 'user' | 'device', target: string, name: string): Record<string, unknown> {
  const flow = what === 'hook' ? { module: 'pivot', data: { voice_url: target, method: 'get', debug: true }, children: { _: { module: 'tts', data: { text: 'Please call again later.' }, children: {} } } } : { module: what, data: { id: target, timeout: 20 }, children: {} };
  return { name, numbers: [number], flow };
}
