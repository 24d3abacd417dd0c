// One undo history for all views of a document.

export interface Moment {
  text: string;
  /** What was selected. */
  at: string;
}

interface Step extends Moment {
  group: string;
  time: number;
}

/** Steps of one kind that follow each other within this time are one step. */
const PAUSE_MS = 700;
const LONGEST = 500;

export class History {
  private past: Step[] = [];
  private future: Step[] = [];
  private now: Step;

  constructor(text: string, at = '') {
    this.now = { text, at, group: '', time: 0 };
  }

  get text(): string {
    return this.now.text;
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }

  /** Steps since the text was `text`, or since the beginning. */
  stepsSince(text: string): number {
    const found = this.past.findLastIndex((step) => step.text === text);
    return this.now.text === text ? 0 : this.past.length - Math.max(found, 0);
  }

  /** A new text. Texts of the same non-empty `group` in quick succession become one step. */
  push(text: string, at: string, group: string, time: number): void {
    if (text === this.now.text) return;
    const joins = group !== '' && this.now.group === group && time - this.now.time < PAUSE_MS && this.future.length === 0;
    if (!joins) {
      this.past.push(this.now);
      if (this.past.length > LONGEST) this.past.shift();
    }
    this.future = [];
    this.now = { text, at, group, time };
  }

  /** The selection changed: undo leads back to it. */
  select(at: string): void {
    this.now = { ...this.now, at };
  }

  undo(): Moment | null {
    const before = this.past.pop();
    if (!before) return null;
    this.future.push(this.now);
    this.now = { ...before, group: '' };
    return this.now;
  }

  redo(): Moment | null {
    const after = this.future.pop();
    if (!after) return null;
    this.past.push(this.now);
    this.now = { ...after, group: '' };
    return this.now;
  }
}
