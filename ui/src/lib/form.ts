// How the fields of a schema are asked for.

import type { Schema } from './flow/schema';
import { isObject } from './flow/text';

export type FieldKind = 'text' | 'long' | 'secret' | 'number' | 'boolean' | 'enum' | 'lines' | 'set' | 'object' | 'objects' | 'map' | 'members' | 'json';

/** The control for a field. */
export function kindOf(name: string, schema: Schema): FieldKind {
  const type = Array.isArray(schema.type) ? undefined : schema.type;
  if (type === 'members') return 'members';
  if (schema.$ref || schema.oneOf || schema.anyOf) return 'json';
  if (schema.enum) return 'enum';
  switch (type) {
    case 'boolean':
      return 'boolean';
    case 'integer':
    case 'number':
      return 'number';
    case 'array': {
      const items = schema.items;
      if (!items || items.$ref || items.oneOf || items.anyOf) return 'json';
      if (items.enum && schema.uniqueItems) return 'set';
      if (items.type === 'string') return 'lines';
      return items.type === 'object' && items.properties ? 'objects' : 'json';
    }
    case 'object': {
      if (schema.properties && Object.keys(schema.properties).length > 0) return 'object';
      const values = isObject(schema.additionalProperties) ? schema.additionalProperties : undefined;
      return (values as Schema | undefined)?.type === 'string' ? 'map' : 'json';
    }
    case 'string':
      if (['password', 'secret'].includes(name)) return 'secret';
      return ['text', 'description'].includes(name) ? 'long' : 'text';
    default:
      return 'json';
  }
}

/** The entries of a list that is written one a line. */
export function linesOf(text: string): string[] {
  return text.split('\n').map((line) => line.trim()).filter(Boolean);
}

/** The fields of a schema: those named first, in that order, then what is set, then the rest. */
export function ordered(schema: Schema, value: Record<string, unknown>, first: string[], hidden: string[]): { main: string[]; more: string[] } {
  const all = Object.keys(schema.properties ?? {}).filter((name) => !hidden.includes(name));
  const main = first.filter((name) => all.includes(name));
  main.push(...all.filter((name) => !main.includes(name) && (schema.required?.includes(name) || isSet(value[name]))));
  return { main, more: all.filter((name) => !main.includes(name)) };
}

/** Empty objects and lists are what the server put in. */
function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && !(typeof value === 'object' && Object.keys(value).length === 0);
}

/** What a field is, where its name does not say so already. */
export function aboutOf(name: string, schema: Schema): string {
  const plain = (text: string) => text.toLowerCase().replaceAll(/^the |[^a-z]/g, '');
  const about = schema.description && plain(schema.description) !== plain(name) ? schema.description : '';
  const { default: standard } = schema;
  const said = standard !== undefined && standard !== '' && typeof standard !== 'object' ? `Default ${String(standard)}` : '';
  return [about, said].filter(Boolean).join('. ');
}

const FRONT = ['server', 'port', 'username', 'password', 'realm', 'register', 'transport', 'method', 'text', 'name', 'number', 'enabled', 'internal', 'external'];

/** The members of an object: those one fills in first, then as the schema has them. */
export function memberNames(schema: Schema): string[] {
  const all = Object.keys(schema.properties ?? {});
  const front = FRONT.filter((name) => all.includes(name));
  return [...front, ...all.filter((name) => !front.includes(name))];
}
