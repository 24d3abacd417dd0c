// The strip's picture. One layer holds the lanes; the cursor has its own, so that moving it draws nothing else.

import { dims, type Chip, type Filter } from './filter';
import { flag, ticks, xOf, type View } from './scale';
import type { Lanes, Severity } from './types';
import { heard, type LaneName } from './words';

export const RULER_PX = 22;
const LANE_PX: Record<LaneName, number> = { flow: 28, hooks: 28, audio: 28, keys: 28, recordings: 72, quality: 45 };
const MISSING_PX = 28;
/** A bar is never narrower. */
const THINNEST_PX = 3;

export interface Lane {
  name: LaneName | 'missing';
  top: number;
  height: number;
}

/** Lanes from top to bottom. */
export function stack(shown: readonly LaneName[], stereo: boolean, missing: boolean): { lanes: Lane[]; height: number } {
  const lanes: Lane[] = [];
  let top = RULER_PX;
  const put = (name: Lane['name'], height: number) => {
    lanes.push({ name, top, height });
    top += height;
  };
  for (const name of shown) put(name, name === 'recordings' && !stereo ? 44 : LANE_PX[name]);
  if (missing) put('missing', MISSING_PX);
  return { lanes, height: top };
}

const NAMES = ['bg', 'surface', 'sunken', 'line', 'line-2', 'ink', 'ink-2', 'ink-3', 'accent', 'on-accent', 'hook', 'hook-soft', 'media', 'media-soft', 'key', 'key-soft', 'flow', 'flow-soft', 'err', 'err-soft', 'warn', 'warn-soft'] as const;
export type Colours = Record<(typeof NAMES)[number], string> & { sans: string; mono: string };

/** The tokens as they stand on the document now. */
export function colours(from: Element): Colours {
  const style = getComputedStyle(from);
  const entries = [...NAMES, 'sans', 'mono'].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]);
  return Object.fromEntries(entries) as Colours;
}

export interface Scene {
  lanes: Lanes;
  stack: readonly Lane[];
  view: View;
  width: number;
  height: number;
  filter: Filter;
  colours: Colours;
  /** By recording: channels of minimum and maximum in turn. */
  peaks: ReadonlyMap<string, { seconds: number; channels: number[][] }>;
  missing: string | null;
  /** Seconds; what is after it has not happened yet. */
  now: number | null;
  /** Written where now is: the last quality. */
  nowWords: string;
}

type Pen = CanvasRenderingContext2D;

/** Makes a canvas as fine as the screen and answers its pen, scaled to CSS pixels. */
export function penOf(canvas: HTMLCanvasElement, width: number, height: number): Pen | null {
  const ratio = globalThis.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const pen = canvas.getContext('2d');
  pen?.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen?.clearRect(0, 0, width, height);
  return pen;
}

export function drawLanes(pen: Pen, scene: Scene): void {
  const { colours: c } = scene;
  drawGrid(pen, scene);
  drawFuture(pen, scene);
  for (const lane of scene.stack) {
    pen.globalAlpha = dimmed(scene, lane.name) ? 0.25 : 1;
    if (lane.name === 'flow') bars(pen, scene, lane, scene.lanes.flow.map((bar) => ({ ...bar, ...tone(c, bar.severity ?? null, c['flow-soft'], c['line-2'], c['ink-2']) })));
    else if (lane.name === 'hooks') bars(pen, scene, lane, scene.lanes.hooks.map((bar) => hookBar(c, bar)));
    else if (lane.name === 'audio') bars(pen, scene, lane, scene.lanes.audio.map((bar) => ({ ...bar, label: heard(bar), severity: null, ...soundTone(c, bar.kind) })));
    else if (lane.name === 'keys') drawKeys(pen, scene, lane);
    else if (lane.name === 'recordings') drawRecordings(pen, scene, lane);
    else if (lane.name === 'quality') drawQuality(pen, scene, lane);
    else if (scene.missing) words(pen, scene.missing, 8, lane.top + lane.height / 2, c['ink-3'], `400 12px ${c.sans}`);
  }
  pen.globalAlpha = 1;
}

/** What has not happened yet. Words about what has may stand on it. */
function drawFuture(pen: Pen, scene: Scene): void {
  const { colours: c, width, view } = scene;
  if (scene.now === null) return;
  const x = xOf(view, width, scene.now);
  if (x >= width) return;
  pen.globalAlpha = 0.75;
  pen.fillStyle = c.bg;
  pen.fillRect(Math.max(0, x), RULER_PX, width, scene.height);
  pen.globalAlpha = 1;
  pen.fillStyle = c.media;
  pen.fillRect(Math.round(x) - 1, RULER_PX, 2, scene.height);
  const quality = scene.stack.find((lane) => lane.name === 'quality');
  if (quality && scene.nowWords) words(pen, scene.nowWords, x + 8, quality.top + 36, c.media, `500 12px ${c.sans}`);
}

function dimmed(scene: Scene, name: Lane['name']): boolean {
  const chip: Partial<Record<Lane['name'], Chip>> = { flow: 'flow', hooks: 'hook', audio: 'audio', keys: 'key', recordings: 'audio', quality: 'audio' };
  const own = chip[name];
  return own !== undefined && dims(scene.filter, own);
}

function drawGrid(pen: Pen, scene: Scene): void {
  const { colours: c, width, height, view } = scene;
  pen.font = `400 11px ${c.mono}`;
  pen.textBaseline = 'middle';
  for (const tick of ticks(view, width)) {
    const x = xOf(view, width, tick.t);
    pen.fillStyle = c.line;
    pen.fillRect(Math.round(x), RULER_PX, 1, height);
    const wide = pen.measureText(tick.label).width;
    pen.fillStyle = c['ink-3'];
    pen.fillText(tick.label, Math.min(Math.max(0, x - wide / 2), width - wide), 11);
  }
  pen.fillStyle = c.line;
  for (const lane of scene.stack) pen.fillRect(0, lane.top + lane.height - 1, width, 1);
}

interface Bar {
  from: number;
  to: number | null;
  label: string;
  severity?: Severity;
  fill: string;
  edge: string;
  text: string;
  dashed?: boolean;
}

function tone(c: Colours, severity: Severity, fill: string, edge: string, text: string): Pick<Bar, 'fill' | 'edge' | 'text'> {
  return severity === 'err' ? { fill: c['err-soft'], edge: c.err, text: c.err } : { fill, edge, text };
}

function hookBar(c: Colours, bar: Lanes['hooks'][number]): Bar {
  return { ...bar, fill: c['hook-soft'], edge: bar.severity === 'err' ? c.err : c.hook, text: bar.severity === 'err' ? c.err : c.hook };
}

function soundTone(c: Colours, kind: string): Pick<Bar, 'fill' | 'edge' | 'text' | 'dashed'> {
  const dashed = kind === 'ringback' || kind === 'tone';
  return { fill: dashed ? 'transparent' : c['media-soft'], edge: c.media, text: c.media, dashed };
}

/** Bars of one lane. Words stand inside; beside a bar that is too narrow, where there is room. */
function bars(pen: Pen, scene: Scene, lane: Lane, all: Bar[]): void {
  const { colours: c, width, view } = scene;
  const end = scene.now ?? view.to;
  const top = lane.top + 4;
  const tall = lane.height - 8;
  const places = all.map((bar) => {
    const x = xOf(view, width, bar.from);
    return { bar, x, wide: Math.max(THINNEST_PX, xOf(view, width, Math.max(bar.from, bar.to ?? end)) - x - 1) };
  });
  let drawn = -Infinity;
  let written = -Infinity;
  pen.textBaseline = 'middle';
  for (const [index, { bar, x, wide }] of places.entries()) {
    if (x > width || x + wide < 0 || (x + wide <= drawn + 0.5 && wide <= THINNEST_PX)) continue;
    const left = Math.max(x, -10);
    const visible = Math.min(x + wide, width + 10) - left;
    pen.beginPath();
    pen.roundRect(left + 0.5, top + 0.5, Math.max(THINNEST_PX - 1, visible - 1), tall - 1, Math.min(3, visible / 2));
    pen.fillStyle = visible < 8 ? bar.edge : bar.fill;
    if (visible < 8 || bar.fill !== 'transparent') pen.fill();
    pen.setLineDash(bar.dashed ? [3, 2] : []);
    pen.strokeStyle = bar.edge;
    pen.lineWidth = 1;
    pen.stroke();
    pen.setLineDash([]);
    drawn = x + wide;
    pen.font = `500 12px ${c.sans}`;
    const inside = Math.min(x + wide, width) - Math.max(0, x) - 12;
    const flagged = bar.severity ? 16 : 0;
    const wanted = pen.measureText(bar.label).width;
    const before = written;
    written = Math.max(written, x + wide);
    const middle = top + tall / 2 + 0.5;
    if (inside >= wanted + flagged || inside > 60) {
      const text = cut(pen, bar.label, inside - flagged);
      words(pen, text, Math.max(0, x) + 7, middle, bar.text, pen.font);
      if (flagged) triangle(pen, Math.max(0, x) + 7 + pen.measureText(text).width + 6, middle, bar.severity === 'err' ? c.err : c.warn);
      continue;
    }
    const next = places[index + 1]?.x ?? Infinity;
    const right = Math.min(next, width) - (x + wide) - 10;
    if (right >= wanted + flagged) {
      words(pen, bar.label, x + wide + 7, middle, bar.text === c['ink-2'] ? c['ink-3'] : bar.text, pen.font);
      if (flagged) triangle(pen, x + wide + 7 + wanted + 6, middle, bar.severity === 'err' ? c.err : c.warn);
      written = x + wide + 7 + wanted + flagged;
    } else if (x - 6 - wanted - flagged > before + 8 && next > width) {
      words(pen, bar.label, x - 6 - wanted, middle, bar.text, pen.font);
      if (flagged) triangle(pen, x - 18 - wanted, middle, bar.severity === 'err' ? c.err : c.warn);
    } else if (inside > 24) words(pen, cut(pen, bar.label, inside), Math.max(0, x) + 7, middle, bar.text, pen.font);
  }
}

function triangle(pen: Pen, x: number, y: number, colour: string): void {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.moveTo(x + 5, y - 5);
  pen.lineTo(x + 10, y + 4);
  pen.lineTo(x, y + 4);
  pen.fill();
}

function words(pen: Pen, text: string, x: number, y: number, colour: string, font: string): void {
  pen.font = font;
  pen.textBaseline = 'middle';
  pen.fillStyle = colour;
  pen.fillText(text, x, y);
}

function cut(pen: Pen, text: string, room: number): string {
  if (pen.measureText(text).width <= room) return text;
  let keep = Math.min(text.length, Math.floor((room / Math.max(1, pen.measureText(text).width)) * text.length));
  while (keep > 0 && pen.measureText(`${text.slice(0, keep).trimEnd()}…`).width > room) keep--;
  return keep > 1 ? `${text.slice(0, keep).trimEnd()}…` : '';
}

function drawKeys(pen: Pen, scene: Scene, lane: Lane): void {
  const { colours: c, width, view } = scene;
  const middle = lane.top + lane.height / 2;
  let right = -Infinity;
  for (const [index, mark] of scene.lanes.keys.entries()) {
    if (scene.now !== null && mark.t > scene.now) continue;
    const at = xOf(view, width, mark.t);
    if (at < -10 || at > width + 10) continue;
    const x = Math.max(at - 8, right + 1);
    if (x - (at - 8) > 40) continue;
    pen.beginPath();
    pen.roundRect(x + 0.5, middle - 9 + 0.5, 16, 17, 3);
    pen.fillStyle = c.surface;
    pen.fill();
    pen.strokeStyle = c.key;
    pen.stroke();
    pen.textAlign = 'center';
    words(pen, mark.key, x + 8.5, middle + 0.5, c.key, `600 12px ${c.mono}`);
    pen.textAlign = 'start';
    right = x + 16;
    const next = scene.lanes.keys[index + 1];
    const room = (next ? xOf(view, width, next.t) - 8 : width) - right;
    if (mark.barge_in && room > 66) words(pen, 'barge-in', right + 7, middle + 0.5, c.key, `400 12px ${c.sans}`);
  }
}

function drawRecordings(pen: Pen, scene: Scene, lane: Lane): void {
  const { colours: c, width, view } = scene;
  for (const recording of scene.lanes.recordings) {
    const found = scene.peaks.get(recording.id);
    const channels = found?.channels ?? [];
    const rows = Math.max(1, recording.channels);
    const high = lane.height / rows;
    for (let row = 0; row < rows; row++) {
      const middle = lane.top + high * (row + 0.5);
      const colour = row === 0 && rows > 1 ? c['ink-3'] : c.media;
      const from = Math.max(0, xOf(view, width, recording.from));
      const to = Math.min(width, xOf(view, width, recording.to ?? scene.now ?? view.to));
      if (to <= from) continue;
      if (row > 0) {
        pen.fillStyle = c.line;
        pen.fillRect(0, Math.round(lane.top + high * row), width, 1);
      }
      const values = channels[row];
      pen.fillStyle = colour;
      if (!values?.length || !found) {
        pen.fillRect(from, middle, to - from, 1);
        continue;
      }
      wave(pen, values, found.seconds, recording.from, view, width, [from, to], middle, high / 2 - 4);
    }
  }
}

/** Strokes 3 px apart, each as tall as the loudest peak it stands for. */
function wave(pen: Pen, values: number[], seconds: number, start: number, view: View, width: number, [from, to]: [number, number], middle: number, reach: number): void {
  const points = values.length / 2;
  const perPixel = (view.to - view.from) / width;
  for (let x = Math.ceil(from / 3) * 3; x < to; x += 3) {
    const t = view.from + x * perPixel - start;
    const first = Math.max(0, Math.floor((t / seconds) * points));
    const last = Math.min(points, Math.max(first + 1, Math.ceil(((t + 3 * perPixel) / seconds) * points)));
    let [low, high] = [0, 0];
    for (let index = first; index < last; index++) {
      low = Math.min(low, values[2 * index] ?? 0);
      high = Math.max(high, values[2 * index + 1] ?? 0);
    }
    const up = Math.max(0.6, high * reach);
    pen.fillRect(x, middle - up, 1.6, up + Math.max(0.6, -low * reach));
  }
}

/** Loss and MOS from which a stretch is marked. */
const LOSSY_PERCENT = 2;
const POOR_MOS = 3.6;

function drawQuality(pen: Pen, scene: Scene, lane: Lane): void {
  const { colours: c, width, view } = scene;
  const floor = qualityFloor(scene.lanes);
  const y = (mos: number) => lane.top + lane.height - 6 - ((Math.min(4.5, mos) - floor) / (4.5 - floor)) * (lane.height - 12);
  let said = -Infinity;
  for (const curve of scene.lanes.quality) {
    for (const bad of stretches(curve.points)) {
      const from = xOf(view, width, bad.from);
      const to = Math.max(from + THINNEST_PX, xOf(view, width, bad.to));
      pen.fillStyle = c['err-soft'];
      pen.fillRect(from, lane.top + 1, to - from, lane.height - 2);
      const text = [bad.loss >= LOSSY_PERCENT ? `${bad.loss.toFixed(1)} % lost` : '', bad.mos < 9 ? `MOS ${bad.mos.toFixed(1)}` : ''].filter(Boolean).join(', ');
      pen.font = `500 12px ${c.sans}`;
      const wide = pen.measureText(text).width;
      const x = to + 8 + wide < width ? to + 8 : from - 8 - wide;
      if (x > said && x > 0) {
        words(pen, text, x, lane.top + 34, c.err, pen.font);
        said = x + wide + 8;
      }
    }
  }
  pen.lineWidth = 1.6;
  pen.lineJoin = 'round';
  for (const curve of scene.lanes.quality) {
    pen.strokeStyle = c.media;
    pen.beginPath();
    let moved = false;
    for (const [t, , , mos] of curve.points) {
      if (mos === null || (scene.now !== null && t > scene.now)) continue;
      const x = xOf(view, width, t);
      if (moved) pen.lineTo(x, y(mos));
      else pen.moveTo(x, y(mos));
      moved = true;
    }
    pen.stroke();
  }
}

/** The lowest MOS the lane shows. */
export function qualityFloor(lanes: Lanes): number {
  return lanes.quality.some((curve) => curve.points.some(([, , , mos]) => mos !== null && mos < 3)) ? 1 : 3;
}

/** Neighbouring bad points as one. */
export function stretches(points: readonly [number, number | null, number | null, number | null][]): { from: number; to: number; loss: number; mos: number }[] {
  const found: { from: number; to: number; loss: number; mos: number; end: number }[] = [];
  for (const [index, [t, loss, , mos]] of points.entries()) {
    if ((loss ?? 0) < LOSSY_PERCENT && (mos ?? 9) >= POOR_MOS) continue;
    const last = found.at(-1);
    const before = points[index - 1]?.[0] ?? t;
    if (last && last.end === index - 1) {
      Object.assign(last, { to: t, end: index, loss: Math.max(last.loss, loss ?? 0), mos: Math.min(last.mos, mos ?? 9) });
    } else found.push({ from: (before + t) / 2, to: t, loss: loss ?? 0, mos: mos ?? 9, end: index });
  }
  return found.map(({ from, to, loss, mos }) => ({ from, to, loss, mos }));
}

export interface Over {
  view: View;
  width: number;
  height: number;
  colours: Colours;
  cursor: number | null;
  hover: number | null;
  /** Drawn with the pointer: becomes the view. */
  range: [number, number] | null;
}

export function drawOver(pen: Pen, over: Over): void {
  const { view, width, height, colours: c } = over;
  if (over.range) {
    const [from, to] = over.range.map((t) => xOf(view, width, t)).sort((a, b) => a - b) as [number, number];
    pen.globalAlpha = 0.14;
    pen.fillStyle = c.accent;
    pen.fillRect(from, RULER_PX, to - from, height);
    pen.globalAlpha = 1;
    for (const x of [from, to]) pen.fillRect(Math.round(x), RULER_PX, 1, height);
  }
  if (over.hover !== null) {
    const x = xOf(view, width, over.hover);
    pen.fillStyle = c['line-2'];
    pen.fillRect(Math.round(x), RULER_PX - 2, 1, height);
    sign(pen, over, flag(over.hover, view), x, c.sunken, c.ink);
  }
  if (over.cursor !== null) {
    const x = xOf(view, width, over.cursor);
    if (x < -1 || x > width + 1) return;
    pen.fillStyle = c.accent;
    pen.fillRect(Math.round(x) - 0.75, RULER_PX - 4, 1.5, height);
    sign(pen, over, flag(over.cursor, view), x, c.accent, c['on-accent']);
  }
}

function sign(pen: Pen, over: Over, text: string, x: number, ground: string, ink: string): void {
  const { view, width, colours: c } = over;
  pen.font = `500 11px ${c.mono}`;
  const wide = pen.measureText(text).width + 14;
  const left = Math.min(Math.max(0, x - wide / 2), width - wide);
  // Marks of the ruler that the sign would cut are covered whole.
  pen.font = `400 11px ${c.mono}`;
  pen.fillStyle = c.surface;
  for (const tick of ticks(view, width)) {
    const long = pen.measureText(tick.label).width;
    const start = Math.min(Math.max(0, xOf(view, width, tick.t) - long / 2), width - long);
    if (start < left + wide + 4 && start + long > left - 4) pen.fillRect(start - 1, 0, long + 2, RULER_PX - 2);
  }
  pen.fillStyle = ground;
  pen.beginPath();
  pen.roundRect(left, 2, wide, 17, 3);
  pen.fill();
  words(pen, text, left + 7, 11, ink, `500 11px ${c.mono}`);
}
