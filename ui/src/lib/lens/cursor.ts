// One instant: which event it means, and the other way round.

import { isProblem, type LensEvent } from './types';

/** The event nearest to a time, among those shown. Events stand in the order of the journal, times may be equal. */
export function nearest(events: readonly LensEvent[], t: number, shown: (event: LensEvent) => boolean = () => true): LensEvent | null {
  let best: LensEvent | null = null;
  for (const event of events) {
    if (shown(event) && (best === null || Math.abs(event.t - t) < Math.abs(best.t - t))) best = event;
  }
  return best;
}

/** The last event that has happened at a time. */
export function passed(events: readonly LensEvent[], t: number, shown: (event: LensEvent) => boolean = () => true): LensEvent | null {
  let best: LensEvent | null = null;
  for (const event of events) {
    if (event.t <= t + 1e-6 && shown(event) && (best === null || event.t >= best.t)) best = event;
  }
  return best;
}

/** The next problem after (or before) event `n`; around the end it begins anew. */
export function problem(events: readonly LensEvent[], n: number | null, by: 1 | -1): LensEvent | null {
  const found = events.filter(isProblem);
  if (found.length === 0) return null;
  if (by > 0) return found.find((event) => event.n > (n ?? 0)) ?? found[0] ?? null;
  return found.findLast((event) => event.n < (n ?? Infinity)) ?? found.at(-1) ?? null;
}

/** The next of some numbers, around the end. */
export function stepThrough(found: readonly number[], n: number | null, by: 1 | -1): number | null {
  if (found.length === 0) return null;
  if (by > 0) return found.find((each) => each > (n ?? 0)) ?? found[0] ?? null;
  return found.findLast((each) => each < (n ?? Infinity)) ?? found.at(-1) ?? null;
}

/** The event an address means: `e` if it is there, else the nearest to `t`, else none. */
export function addressed(events: readonly LensEvent[], e: string | null, t: string | null): { event: LensEvent | null; t: number | null } {
  const time = t !== null && t.trim() !== '' && Number.isFinite(Number(t)) ? Math.max(0, Number(t)) : null;
  const byNumber = e === null ? undefined : events.find((event) => event.n === Number(e));
  if (byNumber) return { event: byNumber, t: time ?? byNumber.t };
  return { event: time === null ? null : nearest(events, time), t: time };
}
