// One call as the page holds it: loaded once, then kept up by the live socket.

import { ApiError, get } from '../api';
import { subscribe } from '../live.svelte';
import { Counts, shows, type Filter } from './filter';
import { merge } from './merge';
import { Rows } from './rows';
import { complete, completeLanes, completeLens, type Detail, type Lanes, type Lens, type LensEvent } from './types';

/** Details of events kept for looking again. */
const KEPT = 300;
/** A busy call is drawn so often; nobody reads faster. */
const BETWEEN_MS = 80;

/** Everything but the events is whole and replaces what was there. */
interface Told extends Partial<Omit<Lens, 'events' | 'lanes'>> {
  events?: Partial<LensEvent>[];
  lanes?: Partial<Lanes>;
}

export class LensModel {
  /** Everything but the events. */
  lens = $state.raw<Lens | null>(null);
  error = $state.raw<unknown>(null);
  /** Changes with the events and the rows: what is drawn from them depends on it. */
  tick = $state(0);
  /** Events that came since the reader stopped following. */
  unseen = $state(0);
  following = $state(false);
  filter = $state.raw<Filter>(new Set());

  /** Ordered by `n`; changed in place. */
  events: LensEvent[] = [];
  counts = new Counts();
  rows = new Rows(26);

  private open = new Set<number>();
  private rowPx = 26;
  private waiting: Told[] = [];
  private frame = 0;
  private pause: ReturnType<typeof setTimeout> | undefined;
  private flushed = 0;
  private details = new Map<number, Promise<Detail>>();
  private stop: (() => void) | null = null;
  private asked = new AbortController();

  constructor(readonly id: string) {}

  get path(): string {
    return `{account}/lens/${encodeURIComponent(this.id)}`;
  }

  get live(): boolean {
    return this.lens?.state === 'live';
  }

  /** Loads the call; a live one is followed from then on. */
  async start(): Promise<void> {
    try {
      const first = await this.ask();
      this.adopt(first);
      this.following = first.state === 'live';
      if (first.state === 'live') this.listen();
    } catch (error) {
      if (!aborted(error)) this.error = error;
    }
  }

  end(): void {
    this.asked.abort();
    this.stop?.();
    this.stop = null;
    cancelAnimationFrame(this.frame);
    clearTimeout(this.pause);
  }

  private async ask(after?: number): Promise<Lens> {
    return completeLens(await get<Partial<Lens>>(this.path, { after }, this.asked.signal));
  }

  private adopt(lens: Lens): void {
    this.events = lens.events;
    this.counts = new Counts();
    for (const event of this.events) this.counts.add(event);
    this.lens = lens;
    this.rebuild();
  }

  private listen(): void {
    const visible = () => {
      if (!document.hidden) void this.resume();
    };
    document.addEventListener('visibilitychange', visible);
    const leave = subscribe(`lens.${this.id}`, (data) => this.hear(data as Told), () => void this.resume());
    this.stop = () => {
      leave();
      document.removeEventListener('visibilitychange', visible);
    };
    // Between the first answer and the subscription something may have happened.
    void this.resume();
  }

  /** Takes what the socket tells; drawn with the next frame, and not at all while nobody looks. */
  hear(told: Told): void {
    if (document.hidden) return;
    this.waiting.push(told);
    if (this.frame || this.pause) return;
    const wait = this.flushed + BETWEEN_MS - performance.now();
    const draw = () => {
      this.pause = undefined;
      this.frame = requestAnimationFrame(() => this.flush());
    };
    if (wait <= 0) draw();
    else this.pause = setTimeout(draw, wait);
  }

  private flush(): void {
    this.frame = 0;
    this.flushed = performance.now();
    const told = this.waiting;
    this.waiting = [];
    const lens = this.lens;
    if (!lens) return;
    this.take(told.flatMap((each) => each.events ?? []).map(complete));
    const last = told.at(-1) ?? {};
    const over = told.some((each) => each.state === 'ended');
    const { events: _, lanes, ...rest } = last;
    this.lens = { ...lens, ...rest, id: lens.id, lanes: lanes ? completeLanes(lanes) : lens.lanes, state: over ? 'ended' : lens.state };
    // What follows the end, such as the last callback, is still heard.
    if (over && lens.state === 'live') {
      this.following = false;
      setTimeout(() => void this.refresh(), 700);
    }
  }

  private take(incoming: LensEvent[]): void {
    if (incoming.length === 0) return;
    const merged = merge(this.events, incoming);
    for (const event of merged.added) this.counts.add(event);
    for (const [older, newer] of merged.changed) {
      this.counts.add(older, -1);
      this.counts.add(newer);
      this.details.delete(newer.n);
      this.rows.replace(newer);
    }
    if (merged.disordered) this.rebuild();
    else this.rows.append(merged.added);
    if (this.live && !this.following) this.unseen += merged.added.filter((event) => shows(this.filter, event)).length;
    this.tick++;
  }

  /** Asks for what was missed. */
  private async resume(): Promise<void> {
    const last = this.events.at(-1)?.n ?? 0;
    try {
      const missed = await this.ask(last);
      this.take(missed.events);
      this.lens = { ...missed, events: this.events };
      if (missed.state === 'ended') {
        this.following = false;
        await this.refresh();
      }
    } catch (error) {
      // The bar above says that the connection is lost; the next `back` tries again.
      if (!aborted(error) && !(error instanceof ApiError)) throw error;
    }
  }

  /** The whole anew, in place: folded repetitions, lanes and the sentence of the end. */
  private async refresh(): Promise<void> {
    try {
      const lens = await this.ask();
      this.details.clear();
      this.adopt(lens);
    } catch (error) {
      if (!aborted(error) && !(error instanceof ApiError)) throw error;
    }
  }

  setFilter(filter: Filter): void {
    this.filter = filter;
    this.rebuild();
  }

  setRowHeight(pixels: number): void {
    if (pixels === this.rowPx) return;
    this.rowPx = pixels;
    this.rebuild();
  }

  /** Opens or closes the run of keys that begins with event `n`. */
  toggleRun(n: number): void {
    if (!this.open.delete(n)) this.open.add(n);
    this.rebuild();
  }

  shows = (event: LensEvent): boolean => shows(this.filter, event);

  private rebuild(): void {
    this.rows = new Rows(this.rowPx, this.open, this.shows).append(this.events);
    this.tick++;
  }

  follow(yes: boolean): void {
    this.following = yes && this.live;
    if (this.following) this.unseen = 0;
  }

  /** An event in full; asked once. */
  detail(n: number): Promise<Detail> {
    const there = this.details.get(n);
    if (there) return there;
    const asked = get<Detail>(`${this.path}/events/${n}`, {}, this.asked.signal);
    asked.catch(() => this.details.delete(n));
    this.details.set(n, asked);
    for (const oldest of this.details.keys()) {
      if (this.details.size <= KEPT) break;
      this.details.delete(oldest);
    }
    return asked;
  }
}

function aborted(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}
