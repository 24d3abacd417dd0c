// Where the parties stand, and between which of them an event runs.

import type { Leg, LensEvent, Party } from './types';

/** Time and difference stand left of this. */
export const TIMES_PX = 142;
const FIRST_PX = 68;
const LAST_PX = 76;
const NARROWEST_PX = 150;
/** Arrows longer than this are hard to follow. */
const WIDEST_PX = 420;
/** Up to so many parties share the width; more scroll sideways. */
const SHARE = 6;

export interface Columns {
  /** Middle of each column. */
  x: number[];
  /** Width of all of them together; more than what is there scrolls. */
  width: number;
  /** How many stay where they are while the others scroll. */
  fixed: number;
}

/** The parties in the order in which they are drawn: caller, swivel, then web servers, then the others as they came. */
export function ordered(parties: Party[]): Party[] {
  const rank = (party: Party) => ({ caller: 0, swivel: 1, web: 2 })[party.kind as 'caller'] ?? 3;
  return parties.map((party, index) => ({ party, index })).sort((a, b) => rank(a.party) - rank(b.party) || a.index - b.index).map(({ party }) => party);
}

/** Columns for a width; `shift` is how far those that scroll have been scrolled. */
export function columns(count: number, width: number, shift = 0): Columns {
  const first = TIMES_PX + FIRST_PX;
  const room = Math.max(0, width - first - LAST_PX);
  const even = count > 1 ? Math.min(WIDEST_PX, room / (count - 1)) : 0;
  const step = count > SHARE ? Math.max(even, NARROWEST_PX) : Math.max(even, Math.min(NARROWEST_PX, 110));
  const fixed = count > SHARE ? 2 : count;
  const edge = first + step + 30;
  const x = Array.from({ length: count }, (_, index) => {
    const place = first + step * index;
    return index < fixed ? place : Math.max(edge, place - shift);
  });
  return { x, width: Math.max(width, first + step * Math.max(0, count - 1) + LAST_PX), fixed };
}

/** Which columns an event runs between; the same one twice: it happened there. */
export function ends(event: LensEvent, index: ReadonlyMap<string, number>, legs: readonly Leg[]): [number, number] {
  const swivel = index.get('swivel') ?? Math.min(1, Math.max(0, index.size - 1));
  const from = event.from === null ? undefined : index.get(event.from);
  const to = event.to === null ? undefined : index.get(event.to);
  if (from !== undefined && to !== undefined) return [from, to];
  // The two parties hear each other: that is where both are joined.
  if (event.kind === 'audio' && (event.title === 'bridge' || event.title.includes(' ⇄ '))) return [swivel, swivel];
  if (to !== undefined && event.party !== null && index.has(event.party)) return [index.get(event.party) ?? to, to];
  const own = event.party === null ? undefined : index.get(event.party);
  const leg = legs.find((each) => each.call_id === event.call_id);
  const far = own !== undefined && own !== swivel ? own : leg ? index.get(leg.party) : undefined;
  if (event.kind === 'audio' && far !== undefined) return [swivel, far];
  if ((event.kind === 'key' || event.kind === 'quality') && far !== undefined) return [far, swivel];
  const at = own ?? from ?? to ?? swivel;
  return [at, at];
}

/** Where a block at a column begins: beside its line, or further left where it would be cut. */
export function block(x: number, wanted: number, width: number): number {
  return Math.max(TIMES_PX + 6, Math.min(x - 8, width - 8 - wanted));
}

/** The number of each party's column; `swivel` also by that name. */
export function numbers(parties: readonly Party[]): Map<string, number> {
  const found = new Map(parties.map((party, index) => [party.id, index]));
  const swivel = parties.findIndex((party) => party.kind === 'swivel');
  if (swivel >= 0) found.set('swivel', swivel);
  return found;
}

/** Where the words of an arrow stand: over its middle, or beside its left end where they are wider than it is. */
export function label(a: number, b: number, wanted: number, width: number): { x: number; middle: boolean; max: number } {
  const left = Math.min(a, b);
  const span = Math.abs(a - b);
  if (wanted <= span) return { x: (a + b) / 2, middle: true, max: span };
  const right = width - 8;
  if (left + 6 + wanted <= right) return { x: left + 6, middle: false, max: right - left - 6 };
  const x = Math.max(TIMES_PX + 6, right - wanted);
  return { x, middle: false, max: right - x };
}
