// Which events are shown, as the address says it: `show=sip,hook`.

import { isProblem, type Kind, type LensEvent } from './types';

export type Chip = 'sip' | 'hook' | 'flow' | 'audio' | 'key' | 'problems';

/** In the order of the keys `1` to `6`. */
export const CHIPS: { chip: Chip; word: string; colour: string }[] = [
  { chip: 'sip', word: 'SIP', colour: 'req' },
  { chip: 'hook', word: 'Hooks', colour: 'hook' },
  { chip: 'flow', word: 'Flow', colour: 'flow' },
  { chip: 'audio', word: 'Audio', colour: 'media' },
  { chip: 'key', word: 'Keys', colour: 'key' },
  { chip: 'problems', word: 'Problems', colour: 'err' },
];

const OF_KIND: Record<Kind, Chip> = { sip: 'sip', hook: 'hook', flow: 'flow', audio: 'audio', quality: 'audio', key: 'key', note: 'flow' };

export type Filter = ReadonlySet<Chip>;

export function parse(text: string | null): Filter {
  const known = new Set<string>(CHIPS.map(({ chip }) => chip));
  return new Set((text ?? '').split(',').filter((word): word is Chip => known.has(word)));
}

export function written(filter: Filter): string {
  return CHIPS.map(({ chip }) => chip).filter((chip) => filter.has(chip)).join(',');
}

export function toggled(filter: Filter, chip: Chip): Filter {
  const next = new Set(filter);
  if (!next.delete(chip)) next.add(chip);
  return next;
}

export function shows(filter: Filter, event: LensEvent): boolean {
  return filter.size === 0 || filter.has(OF_KIND[event.kind]) || (filter.has('problems') && isProblem(event));
}

/** Whether a lane of the strip is dimmed. */
export function dims(filter: Filter, chip: Chip): boolean {
  return filter.size > 0 && !filter.has(chip);
}

/** How many events each chip stands for. Every event counts, folded or not. */
export class Counts {
  readonly of: Record<Chip, number> = { sip: 0, hook: 0, flow: 0, audio: 0, key: 0, problems: 0 };
  all = 0;

  add(event: LensEvent, by: 1 | -1 = 1): void {
    this.of[OF_KIND[event.kind]] += by;
    if (isProblem(event)) this.of.problems += by;
    this.all += by;
  }
}
