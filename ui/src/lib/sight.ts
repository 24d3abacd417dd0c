// Long tables hold only the rows in sight and some beside them; what is above and below is empty space of the same height.

/** Rows drawn beyond those in sight. */
const BESIDE = 20;
/** So many rows are all drawn. */
export const ALL_DRAWN = 200;

export interface InSight<T> {
  /** Index of the first row that is drawn. */
  from: number;
  rows: T[];
  /** Pixels of the rows that are not drawn. */
  before: number;
  after: number;
}

/** The rows that a scroller at `top`, `height` tall, shows of `all`, each `row` tall. */
export function inSight<T>(all: T[], top: number, height: number, row: number): InSight<T> {
  if (all.length <= ALL_DRAWN) return { from: 0, rows: all, before: 0, after: 0 };
  const from = Math.min(Math.max(0, Math.floor(top / row) - BESIDE), Math.max(0, all.length - BESIDE));
  const to = Math.min(all.length, Math.ceil((top + height) / row) + BESIDE);
  return { from, rows: all.slice(from, to), before: from * row, after: (all.length - to) * row };
}

/** Height of a table's row, as the density says. */
export function rowHeight(): number {
  return parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--row')) || 36;
}
