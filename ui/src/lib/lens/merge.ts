// Live: events that come in, among those that are there.

import type { LensEvent } from './types';

export interface Merged {
  /** Follow everything that was there. */
  added: LensEvent[];
  /** Newer forms of known ones: `[older, newer]`. */
  changed: [LensEvent, LensEvent][];
  /** One came late, into the middle: rows must be made anew. */
  disordered: boolean;
}

/** Puts `incoming` into `events`, which is ordered by `n`. An event with a known `n` replaces the older. */
export function merge(events: LensEvent[], incoming: readonly LensEvent[]): Merged {
  const merged: Merged = { added: [], changed: [], disordered: false };
  for (const event of incoming) {
    const last = events.at(-1);
    if (!last || event.n > last.n) {
      events.push(event);
      merged.added.push(event);
      continue;
    }
    const index = place(events, event.n);
    const there = events[index];
    if (there?.n === event.n) {
      events[index] = event;
      merged.changed.push([there, event]);
      const fresh = merged.added.findIndex((each) => each.n === event.n);
      if (fresh >= 0) {
        merged.added[fresh] = event;
        merged.changed.pop();
      }
    } else {
      events.splice(index, 0, event);
      merged.added.push(event);
      merged.disordered = true;
    }
  }
  return merged;
}

/** Where `n` stands or would stand. */
function place(events: readonly LensEvent[], n: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((events[middle]?.n ?? 0) < n) low = middle + 1;
    else high = middle;
  }
  return low;
}
