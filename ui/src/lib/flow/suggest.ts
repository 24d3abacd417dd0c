// What may be written at a place of a callflow's JSON.

import type { Known } from './problems';
import { keysOf, referenceOf } from './modules';
import { distinct, type Schema } from './schema';
import { isObject, type Path, valueAt } from './text';

export interface Suggestion {
  /** As JSON. */
  text: string;
  detail: string;
}

/** `path`: of the value at the cursor, or of the object whose key is being written. `doc`: the last valid document. */
export function suggest(what: 'key' | 'value', path: Path, doc: unknown, known: Known, present: string[] = [], nameOf: (id: string) => string | undefined = () => undefined): Suggestion[] {
  const place = locate(path);
  if (what === 'key') return keys(place, path, doc, known).filter((each) => !present.includes(JSON.parse(each.text) as string));
  if (place.in === 'node' && place.field === 'module') return known.modules.map((name) => ({ text: JSON.stringify(name), detail: known.schemas[`callflows.${name}`]?.description ?? '' }));
  const schema = place.in === 'data' ? below(known.schemas[`callflows.${moduleAt(place.node, doc)}`], place.rest) : place.in === 'document' ? below(known.schemas.callflows, path) : undefined;
  const ids = place.in === 'data' && place.rest.length === 1 ? known.ids[referenceOf(moduleAt(place.node, doc), String(place.rest[0])) ?? ''] : undefined;
  if (ids) return [...ids].map((id) => ({ text: JSON.stringify(id), detail: nameOf(id) ?? '' }));
  if (!schema) return [];
  const note = (value: unknown) => (value === schema.default ? 'default' : '');
  if (schema.enum) return distinct(schema.enum).map((value) => ({ text: JSON.stringify(value), detail: note(value) }));
  if (schema.type === 'boolean') return [true, false].map((value) => ({ text: String(value), detail: note(value) }));
  return schema.default === undefined ? [] : [{ text: JSON.stringify(schema.default), detail: 'default' }];
}

type Place = { in: 'document' } | { in: 'node'; node: Path; field: string } | { in: 'children'; node: Path } | { in: 'data'; node: Path; rest: Path };

/** Which part of which node a path leads into. */
export function locate(path: Path): Place {
  if (path[0] !== 'flow') return { in: 'document' };
  let n = 1;
  while (path[n] === 'children' && n + 1 < path.length) n += 2;
  const node = path.slice(0, n);
  if (path[n] === 'data') return { in: 'data', node, rest: path.slice(n + 1) };
  if (path[n] === 'children') return { in: 'children', node };
  return { in: 'node', node, field: String(path[n] ?? '') };
}

function moduleAt(node: Path, doc: unknown): string {
  const module = valueAt(doc, [...node, 'module']);
  return typeof module === 'string' ? module : '';
}

function below(schema: Schema | undefined, path: Path): Schema | undefined {
  let found = schema;
  for (const step of path) found = typeof step === 'number' ? found?.items : (found?.properties?.[step] ?? (isObject(found?.additionalProperties) ? found?.additionalProperties : undefined));
  return found;
}

function keys(place: Place, path: Path, doc: unknown, known: Known): Suggestion[] {
  if (place.in === 'children') {
    const { keys: all } = keysOf(moduleAt(place.node, doc));
    return all.map((key) => ({ text: JSON.stringify(key), detail: key === '_' ? 'default' : '' }));
  }
  const schema = place.in === 'data' ? below(known.schemas[`callflows.${moduleAt(place.node, doc)}`], place.rest) : place.in === 'document' ? below(known.schemas.callflows, path) : known.schemas['callflows.action'];
  return Object.entries(schema?.properties ?? {}).map(([key, property]) => ({ text: JSON.stringify(key), detail: property.description ?? '' }));
}
