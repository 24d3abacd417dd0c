import { expect, it } from 'vitest';
import { inSight } from './sight';

const all = Array.from({ length: 10_000 }, (_, n) => n);

it('draws short tables whole', () => {
  expect(inSight(all.slice(0, 200), 5000, 700, 36)).toEqual({ from: 0, rows: all.slice(0, 200), before: 0, after: 0 });
});

it.each([0, 36, 1234, 180_000, 359_300, 1e9])('draws what is in sight at %d, and the table stays as tall as it is', (top) => {
  const seen = inSight(all, top, 700, 36);
  expect(seen.rows.length).toBeLessThan(70);
  expect(seen.before + seen.rows.length * 36 + seen.after).toBe(360_000);
  expect(seen.rows[0]).toBe(seen.from);
  if (top < 359_300) for (const n of [Math.ceil(top / 36), Math.floor((top + 699) / 36)]) expect(seen.rows).toContain(n);
});
