// The rows of the ladder: events in order, runs of keys folded, silence as a labelled gap, all at known heights, so that
// only those in sight need to be drawn.

import type { LensEvent } from './types';

/** Silence from here on is a row of its own, in seconds. */
export const GAP_S = 0.9;
export const GAP_PX = 18;
/** Drawn above and below what is in sight. */
const MARGIN = 20;

export interface EventRow {
  gap: null;
  /** The first of `run`. */
  event: LensEvent;
  /** More than one: keys pressed one after the other. */
  run: LensEvent[];
  /** Seconds since the row before; `null` after a gap and in the first row. */
  since: number | null;
}
export interface GapRow {
  gap: number;
  event: null;
}
export type Row = EventRow | GapRow;

/** Grows as events come in; nothing before the last row changes, so that a live call costs what is new. */
export class Rows {
  rows: Row[] = [];
  /** Tops of rows in pixels, and the end of the last. */
  private tops = new Float64Array(256);
  private at = new Map<number, number>();
  private last = 0;
  private before: LensEvent | null = null;
  /** The first key of the run that has not ended. */
  private first: number | null = null;

  constructor(
    private readonly rowPx: number,
    private readonly open: ReadonlySet<number> = new Set(),
    private readonly shown: (event: LensEvent) => boolean = () => true,
  ) {}

  /** Adds events that follow those already there. `before` is the journal's predecessor, filtered or not. */
  append(events: Iterable<LensEvent>): this {
    for (const event of events) {
      if (this.shown(event)) this.add(event);
      this.before = event;
    }
    return this;
  }

  private add(event: LensEvent): void {
    const end = this.rows.at(-1);
    const run = event.kind === 'key' && end?.gap === null && end.event.kind === 'key' && this.before?.kind === 'key' && same(end.event, event) ? end.run : null;
    if (!run) this.first = event.kind === 'key' ? event.n : null;
    if (run && !this.open.has(this.first ?? 0)) {
      run.push(event);
      this.at.set(event.n, this.rows.length - 1);
      this.last = event.t;
      return;
    }
    const since = this.rows.length ? Math.max(0, event.t - this.last) : null;
    const silent = since !== null && since >= GAP_S;
    if (silent) this.push({ gap: since, event: null }, GAP_PX);
    this.at.set(event.n, this.rows.length);
    this.push({ gap: null, event, run: [event], since: silent ? null : since }, this.rowPx);
    this.last = Math.max(this.last, event.t);
  }

  /** The first key of the run that a row belongs to: what is opened and closed. */
  runAt(index: number): number | null {
    for (let at = index; at >= 0; at--) {
      const row = this.rows[at];
      if (!row || row.gap !== null || row.event.kind !== 'key') return null;
      if (row.run.length > 1 || this.open.has(row.event.n)) return row.event.n;
    }
    return null;
  }

  private push(row: Row, height: number): void {
    const index = this.rows.push(row);
    if (index >= this.tops.length) {
      const wider = new Float64Array(this.tops.length * 2);
      wider.set(this.tops);
      this.tops = wider;
    }
    this.tops[index] = (this.tops[index - 1] ?? 0) + height;
  }

  /** Puts a newer form of an event in the place of the older. */
  replace(event: LensEvent): void {
    const row = this.rows[this.at.get(event.n) ?? -1];
    if (!row?.event) return;
    row.run = row.run.map((each) => (each.n === event.n ? event : each));
    row.event = row.run[0] ?? event;
  }

  get height(): number {
    return this.tops[this.rows.length] ?? 0;
  }

  top(index: number): number {
    return this.tops[Math.max(0, Math.min(index, this.rows.length))] ?? 0;
  }

  /** The row that shows event `n`. */
  rowOf(n: number): number {
    return this.at.get(n) ?? -1;
  }

  /** The row at a height. */
  rowAt(y: number): number {
    let low = 0;
    let high = this.rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.tops[middle] ?? 0) <= y) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, low);
  }

  /** Which rows to draw for what is in sight: first, and one after the last. */
  window(scroll: number, sight: number): [number, number] {
    return [Math.max(0, this.rowAt(scroll) - MARGIN), Math.min(this.rows.length, this.rowAt(scroll + sight) + 1 + MARGIN)];
  }

  /** The next row with an event, from a row in a direction; the row itself where there is none. */
  step(index: number, by: 1 | -1): number {
    for (let next = index + by; next >= 0 && next < this.rows.length; next += by) if (this.rows[next]?.event) return next;
    return index;
  }
}

function same(one: LensEvent, other: LensEvent): boolean {
  return one.call_id === other.call_id && one.party === other.party && one.from === other.from;
}
