// What is wrong with a callflow, each with its address and, where it is certain, a mend.

import { edgeWord, keysOf, LAST, NOT_BUILT, referenceOf, shortId, withoutDefault } from './modules';
import { check, distinct, type Finding, nearest, type Schema } from './schema';
import { rename } from './tree';
import { define, isObject, type Path, valueAt, withValue } from './text';

export interface Mend {
  /** `Use get`. */
  label: string;
  apply: (doc: unknown) => unknown;
}

export interface Problem {
  severity: 'err' | 'warn';
  path: Path;
  /** What is wrong; one sentence. */
  text: string;
  detail: string;
  mend?: Mend;
  /** There is a choice to make: opens the form at this field. */
  choose?: boolean;
}

/** What is known besides the document. */
export interface Known {
  /** The callflow's own id. */
  id: string | null;
  /** By id: `callflows`, `callflows.pivot`, … */
  schemas: Record<string, Schema>;
  /** Names of the modules that are built. */
  modules: string[];
  /** Ids by kind (`devices`, …); kinds that are not read yet are absent. */
  ids: Record<string, Set<string>>;
  /** Callflow (id and name) by number. */
  numbers: Map<string, { id: string; name: string }>;
}

const MOST = 200;

/** All problems, errors first, in the order of the document. */
export function problems(doc: unknown, known: Known): Problem[] {
  const out: Problem[] = [];
  if (!isObject(doc)) return [{ severity: 'err', path: [], text: 'A callflow is an object.', detail: 'It begins with { and has a flow.' }];
  document(doc, known, out);
  if (!Object.hasOwn(doc, 'flow')) out.push({ severity: 'err', path: ['flow'], text: 'There is no first node.', detail: 'Add the node that runs when a call comes in.' });
  else node(doc.flow, ['flow'], known, out, 1);
  return [...out.filter((each) => each.severity === 'err'), ...out.filter((each) => each.severity === 'warn')].slice(0, MOST);
}

function document(doc: Record<string, unknown>, known: Known, out: Problem[]): void {
  const schema = known.schemas.callflows;
  if (schema) {
    const { flow: _, ...rest } = doc;
    const own = { ...schema, required: (schema.required ?? []).filter((key) => key !== 'flow') };
    for (const finding of check(own, rest)) out.push(fromSchema(finding));
  }
  const numbers = Array.isArray(doc.numbers) ? doc.numbers : [];
  const patterns = Array.isArray(doc.patterns) ? doc.patterns : [];
  if (numbers.length === 0 && patterns.length === 0) out.push({ severity: 'warn', path: ['numbers'], text: 'No number leads here.', detail: 'Other callflows can still go on to it.' });
  numbers.forEach((number, n) => {
    const other = known.numbers.get(String(number));
    if (other && other.id !== known.id) {
      out.push({
        severity: 'err', path: ['numbers', n], text: `${number} already leads to ${other.name || shortId(other.id)}.`, detail: 'A number has one callflow.',
        mend: { label: `Remove ${number}`, apply: (now) => withValue(now, ['numbers'], (valueAt(now, ['numbers']) as unknown[]).filter((each) => each !== number)) },
      });
    }
  });
}

function node(value: unknown, path: Path, known: Known, out: Problem[], depth: number): void {
  if (depth > 64) return void out.push({ severity: 'err', path, text: 'Nodes are nested more than 64 deep.', detail: '' });
  if (!isObject(value)) return void out.push({ severity: 'err', path, text: 'A node is an object.', detail: 'It has a module, data and children.' });
  const module = typeof value.module === 'string' ? value.module : '';
  names(value, module, path, known, out);
  if (!Object.hasOwn(value, 'data')) {
    out.push({ severity: 'err', path: [...path, 'data'], text: 'data is missing.', detail: 'It may be empty.', mend: { label: 'Add data', apply: (doc) => withValue(doc, [...path, 'data'], {}) } });
  } else if (!isObject(value.data)) {
    out.push({ severity: 'err', path: [...path, 'data'], text: 'data must be an object.', detail: '' });
  } else settings(module, value.data, [...path, 'data'], known, out, depth);
  if (!Object.hasOwn(value, 'children')) return edges({}, module, path, known, out);
  if (!isObject(value.children)) return void out.push({ severity: 'err', path: [...path, 'children'], text: 'children must be an object.', detail: 'Its keys say when the call goes there.' });
  edges(value.children, module, path, known, out);
  for (const [key, child] of Object.entries(value.children)) node(child, [...path, 'children', key], known, out, depth + 1);
}

function names(value: Record<string, unknown>, module: string, path: Path, known: Known, out: Problem[]): void {
  const at = [...path, 'module'];
  if (!Object.hasOwn(value, 'module')) out.push({ severity: 'err', path: at, text: 'module is missing.', detail: 'It says what the node does.', choose: true });
  else if (module === '') out.push({ severity: 'err', path: at, text: 'module must be the name of a module.', detail: '', choose: true });
  else if (known.modules.length > 0 && !known.modules.includes(module)) {
    if (NOT_BUILT.has(module)) {
      out.push({ severity: 'warn', path: at, text: `${module} is not available yet.`, detail: 'The call goes on to _.' });
      return;
    }
    const meant = nearest(module, known.modules);
    out.push({
      severity: 'err', path: at, text: `There is no module ${module}.`, detail: meant ? `Probably ${meant} is meant.` : '',
      ...(meant ? { mend: { label: `Use ${meant}`, apply: (doc: unknown) => withValue(doc, at, meant) } } : { choose: true }),
    });
  }
}

function settings(module: string, data: Record<string, unknown>, path: Path, known: Known, out: Problem[], depth: number): void {
  const schema = known.schemas[`callflows.${module}`];
  for (const finding of schema ? check(schema, data, path) : []) out.push(fromSchema(finding));
  for (const [key, value] of Object.entries(data)) {
    const property = schema?.properties?.[key];
    if (property?.$ref) node(value, [...path, key], known, out, depth + 1);
    if (schema && !property) misspelt(key, schema, data, path, out);
    const kind = referenceOf(module, key);
    const ids = kind ? known.ids[kind] : undefined;
    if (ids && typeof value === 'string' && value === '' && key === 'id') {
      out.push({ severity: 'err', path: [...path, key], text: `No ${noun(kind as string)} is chosen.`, detail: '', choose: true });
    } else if (ids && typeof value === 'string' && /^[0-9a-f]{32}$/.test(value) && !ids.has(value)) {
      const word = noun(kind as string);
      out.push({ severity: 'err', path: [...path, key], text: `${word[0]?.toUpperCase()}${word.slice(1)} ${shortId(value)} does not exist.`, detail: 'It was probably deleted.', choose: true });
    }
  }
  if (module === 'pivot') pivot(data, path, out);
}

function noun(kind: string): string {
  return { media: 'media', temporal_rules_sets: 'rule set' }[kind] ?? kind.replace(/s$/, '');
}

function misspelt(key: string, schema: Schema, data: Record<string, unknown>, path: Path, out: Problem[]): void {
  const free = Object.keys(schema.properties ?? {}).filter((name) => !Object.hasOwn(data, name));
  const meant = nearest(key, free);
  if (!meant) return;
  out.push({
    severity: 'warn', path: [...path, key], text: `${key} is not a setting of this module.`, detail: `It is kept but does nothing. Probably ${meant} is meant.`,
    mend: {
      label: `Call it ${meant}`,
      apply: (doc) => {
        const next: Record<string, unknown> = {};
        for (const [name, value] of Object.entries(valueAt(doc, path) as Record<string, unknown>)) define(next, name === key ? meant : name, value);
        return withValue(doc, path, next);
      },
    },
  });
}

function pivot(data: Record<string, unknown>, path: Path, out: Problem[]): void {
  const url = data.voice_url;
  if (url === '') out.push({ severity: 'err', path: [...path, 'voice_url'], text: 'voice_url is empty.', detail: 'Nobody is asked what to do with the call.', choose: true });
  for (const key of ['voice_url', 'cdr_url']) {
    const address = data[key];
    if (typeof address !== 'string' || address === '') continue;
    const host = hostOf(address);
    if (host === null) {
      out.push({ severity: 'err', path: [...path, key], text: `${key} is not an http or https address.`, detail: `It is “${address}”.`, choose: true });
    } else if (/^http:/i.test(address) && !isNear(host)) {
      out.push({
        severity: 'warn', path: [...path, key], text: `${key} uses http.`, detail: `Caller numbers travel unencrypted to ${host}.`,
        mend: { label: 'Use https', apply: (doc) => withValue(doc, [...path, key], address.replace(/^http:/i, 'https:')) },
      });
    }
  }
}

function hostOf(address: string): string | null {
  try {
    const url = new URL(address);
    return /^https?:$/.test(url.protocol) && url.hostname ? url.hostname : null;
  } catch {
    return null;
  }
}

/** This machine and the network it stands in. */
function isNear(host: string): boolean {
  return host === 'localhost' || /^\[|^127\.|^10\.|^192\.168\.|^172\.(1[6-9]|2\d|3[01])\.|\.(local|internal|test)$/.test(host);
}

function edges(children: Record<string, unknown>, module: string, path: Path, known: Known, out: Problem[]): void {
  const keys = Object.keys(children);
  const below = [...path, 'children'];
  const rule = withoutDefault(module);
  if (rule && !keys.includes('_')) {
    out.push({
      severity: 'warn', path: below, text: `${module} has no _ child.`, detail: `Without it ${rule}.`,
      mend: { label: 'Add one', apply: (doc) => withValue(doc, [...below, '_'], { module: 'tts', data: { text: 'Please call again later.' }, children: {} }) },
    });
  }
  if (!known.modules.includes(module)) return;
  const { keys: fixed, open } = keysOf(module);
  for (const key of keys) {
    const at = [...below, key];
    if (LAST.has(module)) out.push({ severity: 'warn', path: at, text: `Nothing goes on after ${module}.`, detail: 'What stands here is never reached.' });
    else if (!open && !fixed.includes(key)) {
      const mend = { label: 'Call it _', apply: (doc: unknown) => rename(doc, at, '_')?.doc ?? doc };
      out.push({
        severity: 'warn', path: at, text: `${module} does not go on with ${key}.`, detail: `It goes on with ${fixed.map((each) => `${each} (${edgeWord(module, each)})`).join(', ')}.`,
        ...(keys.includes('_') || !fixed.includes('_') ? {} : { mend }),
      });
    }
  }
}

/** A finding of a schema as a problem, with the mend that is certain. */
export function fromSchema(finding: Finding): Problem {
  const problem: Problem = { severity: 'err', path: finding.path, text: finding.text, detail: finding.detail };
  const set = (label: string, value: unknown): Mend => ({ label, apply: (doc) => withValue(doc, finding.path, value) });
  const { schema, value } = finding;
  const word = (one: unknown) => (typeof one === 'string' ? one : JSON.stringify(one));
  switch (finding.rule) {
    case 'enum': {
      const choices = distinct(schema.enum ?? []);
      const meant = typeof value === 'string' ? nearest(value, choices.filter((each) => typeof each === 'string') as string[]) : undefined;
      const best = meant ?? schema.default ?? (choices.length === 1 ? choices[0] : undefined);
      return best === undefined ? { ...problem, choose: true } : { ...problem, mend: set(`Use ${word(best)}`, best) };
    }
    case 'required': {
      const field = schema.properties?.[String(finding.path.at(-1))];
      if (field?.default !== undefined) return { ...problem, mend: set(`Add ${word(field.default)}`, field.default) };
      return { ...problem, choose: true };
    }
    case 'type':
      return schema.default === undefined ? problem : { ...problem, mend: set(`Use ${word(schema.default)}`, schema.default) };
    case 'minimum':
      return { ...problem, mend: set(`Use ${schema.minimum}`, schema.minimum) };
    case 'maximum':
      return { ...problem, mend: set(`Use ${schema.maximum}`, schema.maximum) };
    case 'uniqueItems':
      return { ...problem, mend: set('Keep one of each', (value as unknown[]).filter((item, n, list) => list.findIndex((other) => JSON.stringify(other) === JSON.stringify(item)) === n)) };
    case 'additionalProperties':
      return { ...problem, mend: set(`Remove ${String(finding.path.at(-1))}`, undefined) };
    case 'choice':
      return { ...problem, choose: true };
    default:
      return problem;
  }
}
