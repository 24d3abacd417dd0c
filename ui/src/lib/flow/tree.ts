// The tree of a callflow document: what is drawn, and what editing it does to the document.

import { colourOf, edgeWord, freshData, keysOf, LAST, lineOf, type NameOf } from './modules';
import { define, isObject, type Path, read, valueAt, withValue, written } from './text';

export interface Node {
  /** In the document: `['flow', 'children', '_']`. */
  path: Path;
  /** The same below `flow`, as it stands in the address: `children._`. */
  at: string;
  key: string | null;
  word: string;
  module: string;
  line: string;
  colour: string;
  /** Nothing goes on from here. */
  last: boolean;
  children: Node[];
}

const ROOT: Path = ['flow'];

/** Children in the order they are drawn: keys as on a telephone, then names, the default last. */
export function orderedKeys(children: Record<string, unknown>): string[] {
  const rank = (key: string): number => (key === '_' ? 2 : /^\d+$/.test(key) ? 0 : 1);
  return Object.keys(children).sort((a, b) => rank(a) - rank(b) || (rank(a) === 0 ? Number(a) - Number(b) || a.localeCompare(b) : 0));
}

/** The picture of a document; `null` when there is no first node. */
export function picture(doc: unknown, nameOf: NameOf = () => undefined): Node | null {
  const flow = valueAt(doc, ROOT);
  return isObject(flow) && typeof flow.module === 'string' ? node(flow, ROOT, null, '', nameOf, 0) : null;
}

/** As deep as the server takes. */
const DEEPEST = 64;

function node(value: Record<string, unknown>, path: Path, key: string | null, word: string, nameOf: NameOf, depth: number): Node {
  const module = typeof value.module === 'string' ? value.module : '';
  const children = isObject(value.children) && depth < DEEPEST ? value.children : {};
  return {
    path,
    at: atOf(path),
    key,
    word,
    module,
    line: lineOf(module, value.data, nameOf),
    colour: colourOf(module),
    last: LAST.has(module),
    children: orderedKeys(children).map((name) => {
      const child = children[name];
      return node(isObject(child) ? child : {}, [...path, 'children', name], name, edgeWord(module, name, nameOf), nameOf, depth + 1);
    }),
  };
}

/** The address of a node below `flow`. */
export function atOf(path: Path): string {
  return written(path.slice(1));
}

/** The path of such an address. */
export function pathOf(at: string): Path {
  return [...ROOT, ...read(at)];
}

/** Every node, parents first. */
export function all(root: Node | null): Node[] {
  return root ? [root, ...root.children.flatMap(all)] : [];
}

export function find(root: Node | null, at: string): Node | null {
  return all(root).find((each) => each.at === at) ?? null;
}

/** The node a path of the document lies in: the innermost one of the picture. */
export function nodeAround(root: Node | null, path: Path): Node | null {
  const inside = all(root).filter((each) => each.path.every((step, n) => path[n] === step));
  return inside.reduce<Node | null>((best, each) => (!best || each.path.length > best.path.length ? each : best), null);
}

export type Way = 'up' | 'down' | 'left' | 'right' | 'first' | 'last';

/** Where an arrow leads: as drawn, parents above and siblings beside. */
export function walk(root: Node, at: string, way: Way): Node {
  const here = find(root, at) ?? root;
  const parent = find(root, atOf(here.path.slice(0, -2))) ?? here;
  if (way === 'first') return root;
  if (way === 'last') return all(root).at(-1) ?? root;
  if (way === 'up') return here.path.length > 1 ? parent : here;
  if (way === 'down') return here.children[0] ?? here;
  // Beside: the next on the same level of the picture, across parents.
  const level = all(root).filter((each) => each.path.length === here.path.length);
  const n = level.findIndex((each) => each.at === here.at);
  return level[n + (way === 'left' ? -1 : 1)] ?? here;
}

/** Puts a fresh node below another. */
export function add(doc: unknown, parent: Path | null, key: string, module: string): { doc: unknown; path: Path } {
  const fresh = { module, data: freshData(module), children: {} };
  if (!parent) return { doc: withValue(doc, ROOT, fresh), path: ROOT };
  const path = [...parent, 'children', key];
  return { doc: withValue(doc, path, fresh), path };
}

/** Puts a fresh node between a node and what leads to it: the node becomes its `_`. */
export function addBefore(doc: unknown, path: Path, module: string): unknown {
  return withValue(doc, path, { module, data: freshData(module), children: { _: valueAt(doc, path) } });
}

/** Takes a node out. A node with one way on leaves what follows in its place when `keep` is set. */
export function remove(doc: unknown, path: Path, keep = false): unknown {
  const children = valueAt(doc, [...path, 'children']);
  const only = keep && isObject(children) && Object.keys(children).length === 1 ? Object.values(children)[0] : undefined;
  return withValue(doc, path, only);
}

/** Gives an edge another key. `null` when it is taken. */
export function rename(doc: unknown, path: Path, key: string): { doc: unknown; path: Path } | null {
  const parent = path.slice(0, -1);
  const children = valueAt(doc, parent);
  const old = String(path.at(-1));
  if (!isObject(children) || key === '' || old === key || Object.hasOwn(children, key)) return null;
  const next: Record<string, unknown> = {};
  for (const [name, child] of Object.entries(children)) define(next, name === old ? key : name, child);
  return { doc: withValue(doc, parent, next), path: [...parent, key] };
}

/** Moves a node with all below it under another one. `null` where that cannot be. */
export function move(doc: unknown, from: Path, to: Path, key: string): { doc: unknown; path: Path } | null {
  const inside = from.every((step, n) => to[n] === step);
  const moved = valueAt(doc, from);
  const children = valueAt(doc, [...to, 'children']);
  const taken = isObject(children) && Object.hasOwn(children, key) && from.join('\0') !== [...to, 'children', key].join('\0');
  if (inside || from.length <= 1 || moved === undefined || taken) return null;
  const without = withValue(doc, from, undefined);
  const path = [...to, 'children', key];
  return { doc: withValue(without, path, moved), path };
}

/** The first key that is free below a node of that module. */
export function freeKey(doc: unknown, parent: Path): string {
  const module = valueAt(doc, [...parent, 'module']);
  const children = valueAt(doc, [...parent, 'children']);
  const taken = isObject(children) ? children : {};
  const { keys, open } = keysOf(typeof module === 'string' ? module : '');
  const free = keys.find((key) => !Object.hasOwn(taken, key));
  if (free !== undefined) return free;
  for (let n = 1; ; n += 1) if (open || n > 0) if (!Object.hasOwn(taken, String(n))) return String(n);
}
