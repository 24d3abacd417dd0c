import { describe, expect, it } from 'vitest';
import { failed, finished, long, running } from './call.fixture';
import { block, columns, ends, label, numbers, ordered } from './columns';
import { addressed, nearest, passed, problem, stepThrough } from './cursor';
import { Counts, dims, parse, shows, toggled, written } from './filter';
import { merge } from './merge';
import { GAP_PX, Rows, type Row } from './rows';
import { clock, flag, including, range, ticks, tOf, whole, within, xOf, zoom } from './scale';
import { complete, completeLanes, type LensEvent, type Party } from './types';
import { heard, laneState, named, outcome, reached, spoken } from './words';

const event = (more: Partial<LensEvent>): LensEvent => complete({ n: 1, kind: 'sip', ...more });
const brief = (rows: Row[]) => rows.map((row) => (row.gap !== null ? `gap ${row.gap.toFixed(2)}` : row.run.map((each) => each.n).join('+')));

describe('the rows of the ladder', () => {
  it('label silence from 0.9 s on and count every event', () => {
    const rows = new Rows(26).append(finished().events);
    const gaps = rows.rows.flatMap((row) => (row.gap === null ? [] : [row.gap]));
    expect(gaps.every((gap) => gap >= 0.9)).toBe(true);
    expect(rows.rows.flatMap((row) => row.event ? row.run : []).length).toBe(finished().events.length);
    expect(new Rows(26).append([event({ n: 1, t: 0 }), event({ n: 2, t: 0.899 })]).rows).toHaveLength(2);
    expect(brief(new Rows(26).append([event({ n: 1, t: 0 }), event({ n: 2, t: 0.9 })]).rows)).toEqual(['1', 'gap 0.90', '2']);
  });

  it('fold a run of keys into one and open it again', () => {
    const { events } = finished();
    const folded = new Rows(26).append(events);
    expect(brief(folded.rows)).toContain('11+12+13+14');
    expect(folded.rowOf(13)).toBe(folded.rowOf(11));
    expect(folded.runAt(folded.rowOf(13))).toBe(11);
    const open = new Rows(26, new Set([11])).append(events);
    expect(brief(open.rows).filter((row) => /^1[1-4]$/.test(row))).toEqual(['11', '12', '13', '14']);
    expect(open.runAt(open.rowOf(14))).toBe(11);
    expect(open.runAt(open.rowOf(20))).toBeNull();
  });

  it('do not fold keys that something stands between, shown or not', () => {
    const keys = [event({ n: 1, kind: 'key', t: 0 }), event({ n: 2, kind: 'sip', t: 0.1 }), event({ n: 3, kind: 'key', t: 0.2 })];
    expect(brief(new Rows(26).append(keys).rows)).toEqual(['1', '2', '3']);
    expect(brief(new Rows(26, new Set(), (each) => each.kind === 'key').append(keys).rows)).toEqual(['1', '3']);
  });

  it('do not fold keys of different legs', () => {
    const keys = [event({ n: 1, kind: 'key', call_id: 'a' }), event({ n: 2, kind: 'key', call_id: 'b' })];
    expect(brief(new Rows(26).append(keys).rows)).toEqual(['1', '2']);
  });

  it('are the same however they came in', () => {
    const { events } = long(300);
    const once = new Rows(26).append(events);
    const bits = new Rows(26);
    for (const each of events) bits.append([each]);
    expect(brief(bits.rows)).toEqual(brief(once.rows));
    expect(bits.height).toBe(once.height);
  });

  it('know their places, and which are in sight', () => {
    const rows = new Rows(26).append(long(5000).events);
    expect(rows.rows.length).toBeGreaterThan(4000);
    for (const at of [0, 1, 17, 1234, rows.rows.length - 1]) {
      expect(rows.rowAt(rows.top(at))).toBe(at);
      expect(rows.rowAt(rows.top(at + 1) - 1)).toBe(at);
    }
    const [from, to] = rows.window(rows.top(1000), 520);
    expect(from).toBe(980);
    expect(to).toBeGreaterThanOrEqual(1040);
    expect(to).toBeLessThan(1070);
    expect(new Rows(26).window(0, 500)).toEqual([0, 0]);
  });

  it('have gaps of their own height and skip them when stepping', () => {
    const rows = new Rows(26).append([event({ n: 1, t: 0 }), event({ n: 2, t: 5 })]);
    expect(rows.height).toBe(26 + GAP_PX + 26);
    expect(rows.step(0, 1)).toBe(2);
    expect(rows.step(2, -1)).toBe(0);
    expect(rows.step(2, 1)).toBe(2);
  });

  it('take a newer form of an event in its place', () => {
    const rows = new Rows(26).append([event({ n: 1, title: 'INVITE' }), event({ n: 2, t: 0.1 })]);
    rows.replace(event({ n: 1, title: 'INVITE', repeat: 3 }));
    expect(rows.rows[0]?.event?.repeat).toBe(3);
  });
});

describe('columns', () => {
  it('put the web server right of swivel and keep the order of the others', () => {
    const [caller, swivel, web, desk] = finished().parties as [Party, Party, Party, Party];
    expect(ordered([desk, caller, web, swivel]).map((party) => party.kind)).toEqual(['caller', 'swivel', 'web', 'callee']);
  });

  it('share the width up to six parties and scroll from then on, caller and swivel fixed', () => {
    const six = columns(6, 900);
    expect(six.width).toBe(900);
    expect(six.x.every((x, at) => at === 0 || x > (six.x[at - 1] ?? 0))).toBe(true);
    const nine = columns(9, 900);
    const scrolled = columns(9, 900, 200);
    expect(nine.width).toBeGreaterThan(900);
    expect(scrolled.x.slice(0, 2)).toEqual(nine.x.slice(0, 2));
    expect(scrolled.x[8]).toBe((nine.x[8] ?? 0) - 200);
  });

  it('let arrows run between the right two', () => {
    const lens = finished();
    const index = numbers(lens.parties);
    const of = (n: number) => ends(lens.events[n - 1] as LensEvent, index, lens.legs);
    expect(of(1)).toEqual([0, 1]);
    expect(of(4)).toEqual([1, 2]);
    expect(of(9)).toEqual([1, 0]);
    expect(of(11)).toEqual([0, 1]);
    expect(of(6)).toEqual([1, 1]);
    expect(of(29)).toEqual([3, 1]);
    expect(ends(event({ kind: 'sip', from: 'gone', to: 'p1' }), index, [])).toEqual([1, 1]);
  });

  it('never write beyond the right edge', () => {
    for (const wanted of [20, 200, 500, 5000]) {
      const { x, middle, max } = label(300, 500, wanted, 800);
      expect((middle ? x + wanted / 2 : x + Math.min(max, wanted))).toBeLessThanOrEqual(800);
      expect(middle).toBe(wanted <= 200);
    }
  });
});

describe('blocks', () => {
  it('stand beside their line, or further left where they would be cut', () => {
    expect(block(300, 100, 800)).toBe(292);
    expect(block(760, 100, 800)).toBe(692);
    expect(block(760, 5000, 800)).toBe(148);
  });
});

describe('the axis', () => {
  it('turns time into place and back', () => {
    const view = { from: 2, to: 12 };
    expect(xOf(view, 1000, 7)).toBe(500);
    expect(tOf(view, 1000, 500)).toBe(7);
  });

  it('zooms around a time that stays where it is', () => {
    const all = { from: 0, to: 100 };
    const view = zoom({ from: 20, to: 60 }, all, 0.5, 30);
    expect(view).toEqual({ from: 25, to: 45 });
    expect(xOf(view, 100, 30)).toBe(25);
    expect(zoom(view, all, 100, 30)).toEqual(all);
    expect(zoom(view, all, 1e-9, 30).to).toBeGreaterThan(zoom(view, all, 1e-9, 30).from);
  });

  it('stays inside the call', () => {
    const all = { from: 0, to: 10 };
    expect(within({ from: -3, to: 2 }, all)).toEqual({ from: 0, to: 5 });
    expect(within({ from: 8, to: 12 }, all)).toEqual({ from: 6, to: 10 });
    expect(range(7, 3, all)).toEqual({ from: 3, to: 7 });
    expect(including({ from: 0, to: 2 }, all, 5)).toEqual({ from: 4, to: 6 });
    expect(including({ from: 0, to: 2 }, all, 1)).toEqual({ from: 0, to: 2 });
  });

  it('marks round times, far enough apart to be read', () => {
    for (const span of [0.01, 0.12, 0.9, 7, 28, 90, 500, 7200]) {
      const view = { from: 0, to: span };
      const marks = ticks(view, 1200);
      expect(marks.length, `${span}`).toBeGreaterThan(3);
      for (let at = 1; at < marks.length; at++) expect(xOf(view, 1200, marks[at]?.t ?? 0) - xOf(view, 1200, marks[at - 1]?.t ?? 0)).toBeGreaterThanOrEqual(71.9);
      expect(new Set(marks.map((mark) => mark.label)).size).toBe(marks.length);
    }
    expect(ticks({ from: 0, to: 28 }, 1226).map((mark) => mark.label).slice(0, 3)).toEqual(['0 s', '2 s', '4 s']);
    expect(ticks({ from: 0, to: 0.12 }, 1226).map((mark) => mark.label).slice(0, 2)).toEqual(['0 ms', '10 ms']);
    expect(ticks({ from: 5, to: 5 }, 100)).toEqual([]);
  });

  it('leaves room for what is to come while a call is live, and stays still', () => {
    const ends = [1, 5, 8, 20, 80, 300].map((seconds) => [seconds, whole(seconds, true).to] as const);
    for (const [seconds, to] of ends) expect(to).toBeGreaterThan(seconds);
    expect(whole(3, true)).toEqual(whole(4, true));
    expect(whole(28, false).to).toBeCloseTo(28.3, 1);
  });

  it('names instants', () => {
    expect(clock(66.1934, 3)).toBe('1:06.193');
    expect(clock(59.9999, 3)).toBe('1:00.000');
    expect(clock(3726)).toBe('1:02:06');
    expect(flag(6.1931, { from: 0, to: 28 })).toBe('6.193');
    expect(flag(0.037, { from: 0, to: 0.12 })).toBe('37 ms');
  });
});

describe('filters', () => {
  it('are written in the address and read from it, whatever stands there', () => {
    expect(written(parse('hook,sip'))).toBe('sip,hook');
    expect(written(parse('nonsense,,sip'))).toBe('sip');
    expect(parse(null).size).toBe(0);
    expect(written(toggled(parse('sip'), 'sip'))).toBe('');
  });

  it('count every event once, and problems across kinds', () => {
    const counts = new Counts();
    const { events } = finished();
    for (const each of events) counts.add(each);
    expect(counts.all).toBe(events.length);
    expect(counts.of).toEqual({ sip: 13, hook: 6, flow: 6, audio: 5, key: 5, problems: 2 });
    for (const each of events) counts.add(each, -1);
    expect(counts.all).toBe(0);
  });

  it('show what they name', () => {
    const { events } = finished();
    expect(events.filter((each) => shows(parse('key'), each))).toHaveLength(5);
    expect(events.filter((each) => shows(parse('key,problems'), each))).toHaveLength(7);
    expect(events.filter((each) => shows(parse(''), each))).toHaveLength(events.length);
    expect(dims(parse('key'), 'flow')).toBe(true);
    expect(dims(parse(''), 'flow')).toBe(false);
  });
});

describe('the cursor', () => {
  const { events } = finished();
  it('finds the nearest event and the last that has passed', () => {
    expect(nearest(events, 6.3)?.n).toBe(19);
    expect(nearest(events, 6.3, (each) => each.kind === 'hook')?.n).toBe(17);
    expect(passed(events, 6.2)?.n).toBe(18);
    expect(passed(events, 100)?.n).toBe(events.length);
    expect(nearest([], 1)).toBeNull();
  });

  it('goes from problem to problem and around the end', () => {
    expect(problem(events, null, 1)?.n).toBe(17);
    expect(problem(events, 17, 1)?.n).toBe(29);
    expect(problem(events, 29, 1)?.n).toBe(17);
    expect(problem(events, 17, -1)?.n).toBe(29);
    expect(problem([], null, 1)).toBeNull();
    expect(stepThrough([3, 9], 9, 1)).toBe(3);
    expect(stepThrough([3, 9], null, -1)).toBe(9);
  });

  it('means what the address says, even where it says nonsense', () => {
    expect(addressed(events, '17', null)).toMatchObject({ event: { n: 17 }, t: 6.193 });
    expect(addressed(events, '17', '6.2')).toMatchObject({ event: { n: 17 }, t: 6.2 });
    expect(addressed(events, null, '6.3')).toMatchObject({ event: { n: 19 }, t: 6.3 });
    expect(addressed(events, 'x', 'y')).toEqual({ event: null, t: null });
    expect(addressed(events, '9999', '')).toEqual({ event: null, t: null });
  });
});

describe('live events', () => {
  it('follow, replace or come late', () => {
    const events = [event({ n: 1 }), event({ n: 3 })];
    const merged = merge(events, [event({ n: 4 }), event({ n: 3, repeat: 2 }), event({ n: 2 }), event({ n: 4, title: 'newer' })]);
    expect(events.map((each) => each.n)).toEqual([1, 2, 3, 4]);
    expect(merged.added.map((each) => [each.n, each.title])).toEqual([[4, 'newer'], [2, '']]);
    expect(merged.changed.map(([, newer]) => newer.repeat)).toEqual([2]);
    expect(merged.disordered).toBe(true);
  });
});

describe('words', () => {
  it('say an event as a sentence', () => {
    const lens = finished();
    const parties = new Map(lens.parties.map((party) => [party.id, party]));
    expect(spoken(lens.events[16] as LensEvent, parties)).toBe('6.193 seconds, Web server to swivel, 200 JSON, 212 ms, 1 finding, one finding');
    expect(spoken(lens.events[10] as LensEvent, parties, lens.events.slice(10, 14))).toBe('4.62 seconds, Caller, keys 4 7 1 1');
    expect(spoken({ ...(lens.events[21] as LensEvent), repeat: 3 }, parties)).toContain('sent 3 times');
  });

  it('call a sound by what is heard', () => {
    expect(named(event({ kind: 'audio', title: 'speech', detail: 'Hello.', took_ms: 1840 }))).toEqual({ title: '“Hello.”', detail: '1.84 s' });
    expect(named(event({ kind: 'audio', title: 'ringback', took_ms: 4260 }))).toEqual({ title: 'Ringback tone', detail: '4.26 s' });
    expect(named(event({ kind: 'flow', title: 'tts', detail: 'Hello.' }))).toEqual({ title: 'tts', detail: 'Hello.' });
  });

  it('take no score below 1 for one', () => {
    expect(completeLanes({ quality: [{ leg: 'a', points: [[1, 0, 2, 4.4], [6, null, null, 0]] }] }).quality[0]?.points.map(([, , , mos]) => mos)).toEqual([4.4, null]);
    expect(heard({ label: 'ringback', kind: 'ringback' })).toBe('Ringback tone');
    expect(heard({ label: 'Hello.', kind: 'speech' })).toBe('Hello.');
  });

  it('say why lanes are missing', () => {
    expect(laneState(failed().lanes, false, false)).toEqual({ shown: ['flow', 'hooks'], missing: 'No prompt, key, recording or RTP: the call was never answered' });
    expect(laneState({ ...finished().lanes, keys: [] }, true, false).missing).toBe('No key in this call');
    expect(laneState({ ...finished().lanes, quality: [] }, true, false).missing).toBe('No figure of reception in this call');
    expect(laneState(finished().lanes, true, false).missing).toBeNull();
  });

  it('say how a call went', () => {
    expect(outcome(failed(), 0).word).toBe('Failed before answer');
    expect(outcome(finished(), 0).word).toBe('Completed');
    expect(outcome(running(), 13.4).word).toBe('In progress · 00:13');
    expect(reached(finished())).toBe('Front desk');
  });
});
