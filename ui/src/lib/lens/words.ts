// Facts as words: for the header, for readers of the screen, for the drawer.

import type { LensEvent, Lens, Lanes, Party, Timing } from './types';
import { clock } from './scale';
import { inWords } from '../words';

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}

/** `84 ms`, `4.26 s`, `3 min 20 s`. */
export function lasting(seconds: number): string {
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 99.5) return `${seconds.toFixed(2)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
}

export function milliseconds(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms >= 10 || Number.isInteger(ms) ? Math.round(ms) : ms.toFixed(1)} ms`;
}

/** `10:42:07.318`, in this browser's zone. */
export function timeOfDay(micros: number, digits = 3): string {
  const at = new Date(micros / 1000);
  const two = (number: number) => String(number).padStart(2, '0');
  const rest = digits ? `.${String(Math.floor(micros / 1000) % 1000).padStart(3, '0').slice(0, digits)}` : '';
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}${rest}`;
}

/** `2026-11-21 10:42:07.318 +01:00`: nothing about it depends on when it is read. */
export function absolute(micros: number): string {
  const at = new Date(micros / 1000);
  const two = (number: number) => String(number).padStart(2, '0');
  const offset = -at.getTimezoneOffset();
  const zone = `${offset < 0 ? '−' : '+'}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${timeOfDay(micros)} ${zone}`;
}

/** `today 10:42:07.318` or `3 November 10:42:07.318`. */
export function dayAndTime(micros: number, now = Date.now()): string {
  const at = new Date(micros / 1000);
  const today = new Date(now).toDateString() === at.toDateString();
  return `${today ? 'today' : at.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' })} ${timeOfDay(micros)}`;
}

const SOUNDS: Record<string, string> = { tone: 'Tone', ringback: 'Ringback tone', music: 'Music', stream: 'Stream', prompt: 'Prompt', bridge: 'Connected' };

/** The words of a bar of sound: its text, or its kind in words. */
export function heard(bar: { label: string; kind: string }): string {
  return bar.label && bar.label !== bar.kind ? bar.label : (SOUNDS[bar.kind] ?? bar.label);
}

/** What an event is called in the ladder, and what is said beside it. The journal calls a sound by its kind. */
export function named(event: LensEvent): { title: string; detail: string } {
  if (event.kind !== 'audio') return { title: event.title, detail: event.detail };
  const lasted = event.took_ms === null ? '' : lasting(event.took_ms / 1000);
  if (event.title === 'speech' && event.detail) return { title: `“${event.detail}”`, detail: lasted };
  const kind = SOUNDS[event.title];
  return kind ? { title: kind, detail: [event.detail, lasted].filter(Boolean).join(', ') } : { title: event.title, detail: event.detail };
}

const COUNTED = ['no', 'one', 'two', 'three', 'four', 'five'];

/** What a reader of the screen hears for an event. */
export function spoken(event: LensEvent, parties: ReadonlyMap<string, Party>, run: readonly LensEvent[] = [event]): string {
  const name = (id: string | null) => (id === null ? null : (parties.get(id)?.name ?? id));
  const parts = [`${+event.t.toFixed(3)} seconds`];
  const from = name(event.from) ?? name(event.party);
  const to = name(event.to);
  if (from && to && from !== to) parts.push(`${from} to ${to}`);
  else if (from) parts.push(from);
  if (event.kind === 'key') parts.push(`${run.length > 1 ? 'keys' : 'key'} ${run.map((each) => each.title).join(' ')}`);
  else parts.push(named(event).title);
  if (named(event).detail) parts.push(named(event).detail);
  if (event.took_ms !== null && !event.detail.includes(' ms')) parts.push(`${Math.round(event.took_ms)} milliseconds`);
  if (event.repeat > 1) parts.push(`sent ${event.repeat} times`);
  if (event.findings.length) parts.push(`${COUNTED[event.findings.length] ?? event.findings.length} ${event.findings.length === 1 ? 'finding' : 'findings'}`);
  if (event.severity === 'err') parts.push('problem');
  else if (event.severity === 'warn' && event.findings.length === 0) parts.push('warning');
  return parts.join(', ');
}

/** The state of a call, as the header's tag says it. */
export function outcome(lens: Lens, seconds: number): { word: string; tone: 'ok' | 'err' | 'warn' | 'media' } {
  if (lens.state === 'live') return { word: `In progress · ${clock(seconds).padStart(5, '0')}`, tone: 'media' };
  const answered = lens.legs.some((leg) => leg.answered !== null);
  if (lens.result === 'completed') return { word: 'Completed', tone: 'ok' };
  if (lens.result === 'refused') return { word: 'Refused', tone: 'warn' };
  return { word: answered ? 'Failed after answer' : 'Failed before answer', tone: 'err' };
}

/** Who called: a browser's telephone by its name, its number being nobody's to read. */
export function callerOf(lens: Lens): string {
  return inWords(lens.from || lens.parties.find((party) => party.kind === 'caller')?.name || 'unknown');
}

/** Who is called in the end, if it is not the number that was dialled. */
export function reached(lens: Lens): string | null {
  const found = lens.parties.find((party) => party.kind === 'callee' || party.kind === 'trunk');
  return found && found.name !== lens.to ? found.name : null;
}

export type LaneName = 'flow' | 'hooks' | 'audio' | 'keys' | 'recordings' | 'quality';
const LANE_WORDS: Record<LaneName, string> = { flow: 'flow node', hooks: 'hook', audio: 'prompt', keys: 'key', recordings: 'recording', quality: 'RTP' };
export const LANE_NAMES: LaneName[] = ['flow', 'hooks', 'audio', 'keys', 'recordings', 'quality'];

/** Which lanes have something to show, and one sentence for those that have not. */
export function laneState(lanes: Lanes, answered: boolean, live: boolean): { shown: LaneName[]; missing: string | null } {
  const shown = LANE_NAMES.filter((name) => (name === 'quality' ? lanes.quality.some((curve) => curve.points.length > 0) : lanes[name].length > 0));
  // Sound may have flown without anybody having measured it.
  const gone = LANE_NAMES.filter((name) => !shown.includes(name)).map((name) => (name === 'quality' && answered ? 'figure of reception' : LANE_WORDS[name]));
  if (gone.length === 0) return { shown, missing: null };
  const list = gone.length === 1 ? gone[0] : `${gone.slice(0, -1).join(', ')} or ${gone.at(-1)}`;
  const why = answered ? (live ? ' so far' : ' in this call') : live ? ': not answered yet' : ': the call was never answered';
  const soundMissing = !shown.includes('audio') && !shown.includes('quality');
  return { shown, missing: `No ${list}${answered || soundMissing ? why : live ? ' so far' : ' in this call'}` };
}

/** The parts of a request's time that were measured. */
export function phases(timing: Timing | null | undefined): { name: string; ms: number; mine: boolean }[] {
  const parts: [string, number | null | undefined, boolean][] = [
    ['DNS', timing?.dns_ms, false],
    [timing?.connect_with_tls ? 'connect and TLS' : 'connect', timing?.connect_ms, false],
    ['TLS', timing?.tls_ms, false],
    ['your server', timing?.server_ms, true],
    ['body', timing?.body_ms, false],
  ];
  return parts.flatMap(([name, ms, mine]) => (typeof ms === 'number' ? [{ name, ms, mine }] : []));
}

export function bytes(text: string | null | undefined): string {
  const count = new TextEncoder().encode(text ?? '').length;
  return count < 10_000 ? `${count.toLocaleString('en')} bytes` : `${(count / 1024).toFixed(1)} kB`;
}

/** The first letters of an id and its last; whole where it is copied. */
export function middleCut(id: string, most = 40): string {
  return id.length <= most ? id : `${id.slice(0, Math.ceil(most / 2) - 1)}…${id.slice(-(Math.floor(most / 2) - 1))}`;
}
