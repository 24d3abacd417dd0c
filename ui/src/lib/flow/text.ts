// JSON text and the value it stands for: where each part is, and how a changed value is written back into the text with
// everything else left as its author laid it out.

export type Path = (string | number)[];

export interface Member {
  key: string;
  keyFrom: number;
  keyTo: number;
  value: Span;
}

export interface Span {
  kind: 'object' | 'array' | 'scalar';
  from: number;
  to: number;
  value: unknown;
  members: Member[];
  items: Span[];
}

export interface Mistake {
  message: string;
  offset: number;
  /** Both count from 1. */
  line: number;
  column: number;
}

export type Parsed = { root: Span; mistake: null; repeated: { path: Path; from: number; to: number }[] } | { root: null; mistake: Mistake };

/** Deepest nesting that is read. */
const DEEPEST = 300;

class Stop extends Error {
  constructor(
    readonly why: string,
    readonly at: number,
  ) {
    super(why);
  }
}

/** Reads JSON (RFC 8259), strictly. */
export function parse(text: string): Parsed {
  const reader = new Reader(text);
  try {
    const root = reader.document();
    return { root, mistake: null, repeated: reader.repeated };
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    return { root: null, mistake: { message: error.why, offset: error.at, ...place(text, error.at) } };
  }
}

/** Line and column of an offset, from 1. */
export function place(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  const start = before.lastIndexOf('\n');
  return { line: before.split('\n').length, column: offset - start };
}

class Reader {
  at = 0;
  depth = 0;
  path: Path = [];
  repeated: { path: Path; from: number; to: number }[] = [];

  constructor(readonly text: string) {}

  document(): Span {
    this.space();
    if (this.at === this.text.length) throw new Stop('The document is empty', 0);
    const root = this.value();
    this.space();
    if (this.at < this.text.length) throw new Stop(`Nothing may follow the document, but ${this.here()} does`, this.at);
    return root;
  }

  private here(): string {
    const char = this.text[this.at];
    if (char === undefined) return 'the end of the text';
    return char === '\n' ? 'the end of the line' : `“${char}”`;
  }

  private space(): void {
    while (' \t\n\r'.includes(this.text[this.at] ?? 'x')) this.at += 1;
  }

  private value(): Span {
    if (this.depth > DEEPEST) throw new Stop('The document is nested too deeply', this.at);
    const char = this.text[this.at];
    if (char === '{') return this.object();
    if (char === '[') return this.array();
    const from = this.at;
    if (char === '"') return scalar(from, this.string(), this.at);
    const word = /[-+\w.]*/y;
    word.lastIndex = from;
    const found = word.exec(this.text)?.[0] ?? '';
    if (found === 'true' || found === 'false' || found === 'null' || /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/.test(found)) {
      this.at = from + found.length;
      return scalar(from, JSON.parse(found), this.at);
    }
    if (found) throw new Stop(`${found} is not JSON: texts stand in double quotes`, from);
    throw new Stop(`A value is missing before ${this.here()}`, from);
  }

  private string(): string {
    const from = this.at;
    this.at += 1;
    for (;;) {
      const char = this.text[this.at];
      if (char === undefined || char === '\n') throw new Stop('The text has no closing quote', from);
      this.at += 1;
      if (char === '\\') this.at += 1;
      if (char === '"') break;
    }
    try {
      return JSON.parse(this.text.slice(from, this.at)) as string;
    } catch {
      throw new Stop('The text holds an escape or a control character JSON does not know', from);
    }
  }

  private object(): Span {
    const from = this.at;
    const members: Member[] = [];
    const value: Record<string, unknown> = {};
    this.at += 1;
    this.depth += 1;
    this.space();
    while (this.text[this.at] !== '}') {
      if (members.length > 0) this.comma('}');
      if (this.text[this.at] !== '"') throw new Stop(`A key in double quotes is missing before ${this.here()}`, this.at);
      const keyFrom = this.at;
      const key = this.string();
      const keyTo = this.at;
      this.space();
      if (this.text[this.at] !== ':') throw new Stop(`A colon is missing after "${key}"`, this.at);
      this.at += 1;
      this.space();
      this.path.push(key);
      const span = this.value();
      if (Object.hasOwn(value, key)) this.repeated.push({ path: [...this.path], from: keyFrom, to: keyTo });
      this.path.pop();
      Object.defineProperty(value, key, { value: span.value, enumerable: true, configurable: true, writable: true });
      members.push({ key, keyFrom, keyTo, value: span });
      this.space();
    }
    this.at += 1;
    this.depth -= 1;
    return { kind: 'object', from, to: this.at, value, members, items: [] };
  }

  private array(): Span {
    const from = this.at;
    const items: Span[] = [];
    this.at += 1;
    this.depth += 1;
    this.space();
    while (this.text[this.at] !== ']') {
      if (items.length > 0) this.comma(']');
      this.path.push(items.length);
      items.push(this.value());
      this.path.pop();
      this.space();
    }
    this.at += 1;
    this.depth -= 1;
    return { kind: 'array', from, to: this.at, value: items.map((item) => item.value), members: [], items };
  }

  private comma(close: string): void {
    if (this.text[this.at] !== ',') throw new Stop(`A comma or ${close} is missing before ${this.here()}`, this.at);
    const at = this.at;
    this.at += 1;
    this.space();
    if (this.text[this.at] === close) throw new Stop(`The comma before ${close} is one too many`, at);
  }
}

function scalar(from: number, value: unknown, to: number): Span {
  return { kind: 'scalar', from, to, value, members: [], items: [] };
}

/** The part at a path. */
export function spanAt(root: Span, path: Path): Span | null {
  let span: Span | undefined = root;
  for (const step of path) span = memberOf(span, step)?.value ?? (typeof step === 'number' ? span?.items[step] : undefined);
  return span ?? null;
}

/** The key of a path with its value, where its parent is an object. */
export function memberAt(root: Span, path: Path): Member | null {
  const last = path.at(-1);
  const parent = path.length ? spanAt(root, path.slice(0, -1)) : null;
  return (last !== undefined && parent && memberOf(parent, last)) || null;
}

function memberOf(span: Span | undefined, step: string | number): Member | undefined {
  // Of repeated keys the last one counts.
  return span?.members.findLast((member) => member.key === String(step));
}

/** The path of the innermost part an offset is in; a key belongs to its value. */
export function pathAt(root: Span, offset: number): Path {
  const path: Path = [];
  let span: Span = root;
  for (;;) {
    const member = span.members.find((each) => each.keyFrom <= offset && offset <= each.value.to);
    const item = span.items.findIndex((each) => each.from <= offset && offset <= each.to);
    if (member) {
      path.push(member.key);
      span = member.value;
    } else if (item >= 0) {
      path.push(item);
      span = span.items[item] as Span;
    } else return path;
  }
}

const WIDTH = 76;
/** Lists of short things may be longer before they take a line each. */
const WIDE = 120;

/** Writes a value: short and flat things on one line. */
export function format(value: unknown, indent = '', used = 0): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const list = Array.isArray(value);
  const entries = list ? value.map((item) => ['', item] as const) : Object.entries(value).filter(([, item]) => item !== undefined);
  if (entries.length === 0) return list ? '[]' : '{}';
  const key = (name: string) => (list ? '' : `${JSON.stringify(name)}: `);
  if (entries.every(([, item]) => typeof item !== 'object' || item === null)) {
    const flat = entries.map(([name, item]) => key(name) + format(item)).join(', ');
    if (indent.length + used + flat.length + 4 <= (list ? WIDE : WIDTH)) return list ? `[${flat}]` : `{ ${flat} }`;
  }
  const inner = `${indent}  `;
  const lines = entries.map(([name, item]) => inner + key(name) + format(item, inner, key(name).length));
  return `${list ? '[' : '{'}\n${lines.join(',\n')}\n${indent}${list ? ']' : '}'}`;
}

export interface Edit {
  from: number;
  to: number;
  insert: string;
}

/** What to change in a text so that it says `next`; what is the same stays as it is written. */
export function edits(text: string, root: Span, next: unknown): Edit[] {
  const found: Edit[] = [];
  compare(text, root, next, found);
  return found.sort((a, b) => a.from - b.from);
}

/** The text with edits made. */
export function apply(text: string, list: Edit[]): string {
  let out = '';
  let at = 0;
  for (const edit of list) {
    out += text.slice(at, edit.from) + edit.insert;
    at = edit.to;
  }
  return out + text.slice(at);
}

/** The text that says `next`, laid out like `text` where that is JSON. */
export function rewrite(text: string, next: unknown): string {
  const parsed = parse(text);
  return parsed.root ? apply(text, edits(text, parsed.root, next)) : `${format(next)}\n`;
}

function compare(text: string, span: Span, next: unknown, out: Edit[]): void {
  if (same(span.value, next)) return;
  const whole = () => out.push({ from: span.from, to: span.to, insert: format(next, indentAt(text, span.from)) });
  if (span.kind === 'array' && Array.isArray(next) && next.length === span.items.length) {
    span.items.forEach((item, n) => compare(text, item, next[n], out));
  } else if (span.kind === 'object' && isObject(next)) {
    if (!members(text, span, next, out)) whole();
  } else whole();
}

/** Changes members one by one; `false` when the object is better written anew. */
function members(text: string, span: Span, next: Record<string, unknown>, out: Edit[]): boolean {
  const old = span.members.map((member) => member.key);
  if (old.length === 0 || new Set(old).size < old.length) return false;
  const gone = span.members.filter((member) => !Object.hasOwn(next, member.key));
  const fresh = Object.keys(next).filter((key) => !old.includes(key) && next[key] !== undefined);
  if (gone.length > 1 || fresh.length > 1 || (gone.length === old.length && fresh.length === 0)) return false;
  const mine: Edit[] = [];
  for (const member of span.members) {
    if (Object.hasOwn(next, member.key)) compare(text, member.value, next[member.key], mine);
  }
  const [lost] = gone;
  const [key] = fresh;
  if (lost && key !== undefined) {
    mine.push({ from: lost.keyFrom, to: lost.keyTo, insert: JSON.stringify(key) });
    compare(text, lost.value, next[key], mine);
  } else if (lost) {
    const n = span.members.indexOf(lost);
    const before = span.members[n - 1];
    const after = span.members[n + 1];
    if (before) mine.push({ from: before.value.to, to: lost.value.to, insert: '' });
    else if (after) mine.push({ from: lost.keyFrom, to: after.keyFrom, insert: '' });
  } else if (key !== undefined) {
    const last = span.members[span.members.length - 1] as Member;
    const written = `${JSON.stringify(key)}: `;
    if (text.slice(span.from, span.to).includes('\n')) {
      const indent = indentAt(text, last.keyFrom);
      mine.push({ from: last.value.to, to: last.value.to, insert: `,\n${indent}${written}${format(next[key], indent, written.length)}` });
    } else {
      const value = format(next[key]);
      const start = text.lastIndexOf('\n', span.from) + 1;
      if (value.includes('\n') || span.to - start + written.length + value.length + 2 > WIDTH) return false;
      mine.push({ from: last.value.to, to: last.value.to, insert: `, ${written}${value}` });
    }
  }
  out.push(...mine);
  return true;
}

function indentAt(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  return /^[ \t]*/.exec(text.slice(start, offset))?.[0] ?? '';
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether two JSON values are the same; the order of keys says nothing. */
export function same(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (Array.isArray(one) && Array.isArray(other)) return one.length === other.length && one.every((item, n) => same(item, other[n]));
  if (!isObject(one) || !isObject(other)) return false;
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length && keys.every((key) => Object.hasOwn(other, key) && same(one[key], other[key]));
}

/** The value at a path. */
export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (Array.isArray(value) && typeof step === 'number') value = value[step];
    else if (isObject(value) && Object.hasOwn(value, step)) value = value[step];
    else return undefined;
  }
  return value;
}

/** The same with the value at `path` replaced; `undefined` takes it out. Missing objects on the way are made. */
export function withValue(root: unknown, path: Path, value: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (Array.isArray(root)) {
    const copy = [...root];
    if (value === undefined && rest.length === 0) copy.splice(Number(step), 1);
    else copy[Number(step)] = withValue(copy[Number(step)], rest, value);
    return copy;
  }
  if (typeof step === 'number' && root === undefined) return [withValue(undefined, rest, value)];
  const base = isObject(root) ? root : {};
  const below = withValue(Object.hasOwn(base, step) ? base[step] : undefined, rest, value);
  const copy: Record<string, unknown> = {};
  for (const [key, old] of Object.entries(base)) if (key !== String(step) || below !== undefined) define(copy, key, key === String(step) ? below : old);
  if (!Object.hasOwn(base, step) && below !== undefined) define(copy, String(step), below);
  return copy;
}

/** Sets a key of any name, `__proto__` included, as plain data. */
export function define(object: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

/** A path as the API writes it: joined with dots, dots inside a key as `%2E`. */
export function written(path: Path): string {
  return path.map((step) => String(step).replaceAll('%', '%25').replaceAll('.', '%2E')).join('.');
}

/** The path of such a text. */
export function read(text: string): string[] {
  return text ? text.split('.').map((step) => step.replaceAll(/%2E/gi, '.').replaceAll('%25', '%')) : [];
}
