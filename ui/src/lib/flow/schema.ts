// Checks a value against the JSON schemas (draft 04) the API serves, and says in words what is wrong.

import { isObject, type Path } from './text';

export interface Schema {
  type?: string | string[];
  description?: string;
  enum?: unknown[];
  default?: unknown;
  required?: string[];
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  oneOf?: Schema[];
  anyOf?: Schema[];
  $ref?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  pattern?: string;
  format?: string;
}

export interface Finding {
  path: Path;
  rule: string;
  /** What is wrong, a sentence. */
  text: string;
  /** More about it. */
  detail: string;
  value: unknown;
  schema: Schema;
}

/** What is wrong with `value`. Nested flow nodes (`$ref`) are left to who walks the tree. */
export function check(schema: Schema, value: unknown, path: Path = []): Finding[] {
  const found: Finding[] = [];
  walk(schema, value, path, found);
  return found;
}

function walk(schema: Schema, value: unknown, path: Path, out: Finding[]): void {
  if (schema.$ref) return;
  const name = nameOf(path);
  const say: Say = (rule, text, detail = '', at = path) => void out.push({ path: at, rule, text, detail, value, schema });
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) {
    const fitting = choices.filter((choice) => check(choice, value, path).length === 0);
    // Choices that only say which keys there must be.
    const keys = choices.flatMap((choice) => (choice.required && Object.keys(choice).length === 1 ? choice.required : []));
    if (keys.length > 0 && isObject(value)) {
      if (fitting.length === 0) say('choice', `${keys.join(' or ')} is missing.`, '', [...path, keys[0] as string]);
      else if (fitting.length > 1 && schema.oneOf) say('choice', `Only one of ${keys.join(' and ')} may be there.`);
    } else if (fitting.length === 0) return say('oneOf', `${name} is none of what it may be.`, `It is ${shown(value)}.`);
  }
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !types.some((type) => hasType(type, value) || means(type, value))) {
    return say('type', `${name} must be ${types.map(TYPE_WORD).join(' or ')}.`, `It is ${shown(value)}.`);
  }
  if (schema.enum && !schema.enum.some((each) => each === value || String(each) === value)) {
    return say('enum', `${name} must be ${listed(distinct(schema.enum))}.`, `It is ${shown(value)}.`);
  }
  if (typeof value === 'string' && (types.length === 0 || types.includes('string'))) {
    const length = [...value].length;
    if (schema.minLength !== undefined && length < schema.minLength) say('minLength', length === 0 ? `${name} is empty.` : `${name} is shorter than ${schema.minLength} characters.`);
    if (schema.maxLength !== undefined && length > schema.maxLength) say('maxLength', `${name} is longer than ${schema.maxLength} characters.`);
    if (schema.pattern !== undefined && !matches(schema.pattern, value)) say('pattern', `${name} does not have the form ${schema.pattern}.`, `It is ${shown(value)}.`);
    if (schema.format === 'uri' && !/^[a-z][\w+.-]*:./i.test(value)) say('format', `${name} is not an address.`, `It is ${shown(value)}.`);
  }
  const number = typeof value === 'number' ? value : types.some((type) => type === 'integer' || type === 'number') && typeof value === 'string' ? Number(value) : NaN;
  if (schema.minimum !== undefined && number < schema.minimum) say('minimum', `${name} is less than ${schema.minimum}.`, `It is ${shown(value)}.`);
  if (schema.maximum !== undefined && number > schema.maximum) say('maximum', `${name} is more than ${schema.maximum}.`, `It is ${shown(value)}.`);
  if (Array.isArray(value)) {
    if (schema.minItems !== undefined && value.length < schema.minItems) say('minItems', `${name} needs ${schema.minItems} or more entries.`);
    if (schema.maxItems !== undefined && value.length > schema.maxItems) say('maxItems', `${name} takes ${schema.maxItems} entries at most.`);
    if (schema.uniqueItems && new Set(value.map((item) => JSON.stringify(item))).size < value.length) say('uniqueItems', `${name} names something twice.`);
    if (schema.items) value.forEach((item, n) => walk(schema.items as Schema, item, [...path, n], out));
  }
  if (isObject(value)) members(schema, value, path, out, say);
}

type Say = (rule: string, text: string, detail?: string, at?: Path) => void;

function members(schema: Schema, value: Record<string, unknown>, path: Path, out: Finding[], say: Say): void {
  for (const key of schema.required ?? []) {
    if (!Object.hasOwn(value, key)) say('required', `${key} is missing.`, schema.properties?.[key]?.description ? `${schema.properties[key].description}.` : '', [...path, key]);
  }
  for (const [key, item] of Object.entries(value)) {
    const known = schema.properties && Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined;
    const patterned = Object.entries(schema.patternProperties ?? {}).filter(([pattern]) => matches(pattern, key));
    for (const [, below] of known ? [['', known] as const, ...patterned] : patterned) walk(below, item, [...path, key], out);
    if (known || patterned.length > 0) continue;
    if (schema.additionalProperties === false) say('additionalProperties', `${key} is not a setting here.`, '', [...path, key]);
    else if (isObject(schema.additionalProperties)) walk(schema.additionalProperties, item, [...path, key], out);
  }
}

function nameOf(path: Path): string {
  const last = path.at(-1);
  if (last === undefined) return 'The document';
  return typeof last === 'number' ? `${String(path.at(-2) ?? 'entry')} ${last + 1}` : last;
}

function hasType(type: string, value: unknown): boolean {
  switch (type) {
    case 'object':
      return isObject(value);
    case 'array':
      return Array.isArray(value);
    case 'null':
      return value === null;
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

/** The server turns texts into the numbers and booleans that are meant. */
function means(type: string, value: unknown): boolean {
  if (typeof value !== 'string') return false;
  if (type === 'integer') return /^-?\d+$/.test(value);
  if (type === 'number') return value.trim() !== '' && Number.isFinite(Number(value));
  return type === 'boolean' && (value === 'true' || value === 'false');
}

function matches(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(text);
  } catch {
    return true;
  }
}

function TYPE_WORD(type: string): string {
  return { object: 'an object', array: 'a list', string: 'a text', integer: 'a whole number', number: 'a number', boolean: 'true or false', null: 'null' }[type] ?? type;
}

/** Values that differ in more than the case of their letters, in lower case where there is a choice. */
export function distinct(values: unknown[]): unknown[] {
  const lower = new Set(values.filter((value) => typeof value === 'string' && value === value.toLowerCase()));
  return values.filter((value) => typeof value !== 'string' || lower.has(value) || !lower.has(value.toLowerCase()));
}

function listed(values: unknown[]): string {
  const words = values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value)));
  if (words.length > 8) return `one of ${words.slice(0, 8).join(', ')} …`;
  return words.length > 1 ? `${words.slice(0, -1).join(', ')} or ${words.at(-1)}` : (words[0] ?? 'nothing');
}

export function shown(value: unknown): string {
  if (typeof value === 'string') return value.length > 60 ? `“${value.slice(0, 60)}…”` : `“${value}”`;
  if (Array.isArray(value)) return 'a list';
  return isObject(value) ? 'an object' : JSON.stringify(value);
}

/** The one of `known` that `text` was probably meant to be. */
export function nearest(text: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Infinity;
  for (const word of known) {
    const far = distance(text.toLowerCase(), word.toLowerCase());
    if (far < least) [best, least] = [word, far];
  }
  return least <= Math.max(2, Math.floor(text.length / 3)) ? best : undefined;
}

/** Edit distance with transpositions. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, n) => n)];
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const above = rows[i - 1] as number[];
      let cost = Math.min((above[j] as number) + 1, (row[j - 1] as number) + 1, (above[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, ((rows[i - 2] as number[])[j - 2] as number) + 1);
      row.push(cost);
    }
    rows.push(row);
  }
  return (rows[a.length] as number[])[b.length] as number;
}
