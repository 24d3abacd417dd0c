// The axis of the strip: what time stands where.

export interface View {
  from: number;
  to: number;
}

const SHORTEST_S = 0.002;

export function xOf(view: View, width: number, t: number): number {
  return ((t - view.from) / (view.to - view.from)) * width;
}

export function tOf(view: View, width: number, x: number): number {
  return view.from + (x / Math.max(1, width)) * (view.to - view.from);
}

/** All of a call. A live one has room to grow, and stays until it has used most of it. */
export function whole(duration: number, live: boolean): View {
  const least = Math.max(duration, 0.02);
  if (!live) return { from: 0, to: least * 1.012 };
  let to = 10;
  while (least > to * 0.9) to = to < 60 ? to * 2 - (to === 20 ? 10 : 0) : to + Math.max(30, Math.round(to / 2 / 30) * 30);
  return { from: 0, to };
}

/** Closer (`factor` < 1) or wider around a time, never beyond the call. */
export function zoom(view: View, all: View, factor: number, around: number): View {
  const span = Math.min(all.to - all.from, Math.max(SHORTEST_S, (view.to - view.from) * factor));
  const share = (around - view.from) / (view.to - view.from);
  return within({ from: around - span * share, to: around + span * (1 - share) }, all);
}

/** The same span, moved to lie inside. */
export function within(view: View, all: View): View {
  const span = Math.min(view.to - view.from, all.to - all.from);
  const from = Math.min(Math.max(view.from, all.from), all.to - span);
  return { from, to: from + span };
}

/** A range somebody drew, in either direction. */
export function range(one: number, other: number, all: View): View {
  const from = Math.max(all.from, Math.min(one, other));
  const to = Math.min(all.to, Math.max(one, other));
  return to - from >= SHORTEST_S ? { from, to } : within({ from: from - SHORTEST_S / 2, to: from + SHORTEST_S / 2 }, all);
}

/** The view moved so that a time is in it. */
export function including(view: View, all: View, t: number): View {
  if (t >= view.from && t <= view.to) return view;
  const span = view.to - view.from;
  return within({ from: t - span / 2, to: t + span / 2 }, all);
}

export interface Tick {
  t: number;
  label: string;
}

/** Marks at round times, at least `least` pixels apart. */
export function ticks(view: View, width: number, least = 72): Tick[] {
  const span = view.to - view.from;
  if (!(span > 0) || width < least) return [];
  const step = roundUp((span * least) / width);
  const found: Tick[] = [];
  for (let index = Math.ceil(view.from / step - 1e-9); index * step <= view.to + 1e-9; index++) {
    const t = index * step;
    found.push({ t, label: tickLabel(t, step, view.to) });
  }
  return found;
}

const STEPS = [60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400];

function roundUp(least: number): number {
  if (least > 30) return STEPS.find((step) => step >= least) ?? Math.ceil(least / 3600) * 3600;
  if (least > 20) return 30;
  const power = 10 ** Math.floor(Math.log10(least));
  return ([1, 2, 5, 10].find((each) => each * power >= least * 0.999_999) ?? 10) * power;
}

function tickLabel(t: number, step: number, end: number): string {
  if (end <= 1) return `${+(t * 1000).toFixed(step < 0.001 ? 1 : 0)} ms`;
  if (end >= 120) return clock(t, step < 1 ? 1 : 0);
  return `${+t.toFixed(step < 0.01 ? 3 : step < 0.1 ? 2 : step < 1 ? 1 : 0)} s`;
}

/** `1:06`, `1:02:06`. */
export function clock(t: number, digits = 0): string {
  const rounded = +t.toFixed(digits);
  const whole = Math.floor(rounded);
  const rest = digits ? (rounded - whole).toFixed(digits).slice(1) : '';
  const two = (number: number) => String(number).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:${two(Math.floor(whole / 60) % 60)}` : Math.floor(whole / 60)}:${two(whole % 60)}${rest}`;
}

/** What the cursor's flag says. */
export function flag(t: number, view: View): string {
  if (view.to <= 1) return `${+(t * 1000).toFixed(view.to - view.from < 0.05 ? 1 : 0)} ms`;
  return view.to >= 120 ? clock(t, 3) : t.toFixed(3);
}
