import { expect, it } from 'vitest';
import { aboutOf, kindOf, linesOf, memberNames, ordered } from './form';
import type { Schema } from './flow/schema';

it.each<[string, Schema, string]>([
  ['name', { type: 'string' }, 'text'],
  ['password', { type: 'string' }, 'secret'],
  ['text', { type: 'string' }, 'long'],
  ['method', { type: 'string', enum: ['get'] }, 'enum'],
  ['debug', { type: 'boolean' }, 'boolean'],
  ['port', { type: 'integer' }, 'number'],
  ['numbers', { type: 'array', items: { type: 'string' } }, 'lines'],
  ['codecs', { type: 'array', uniqueItems: true, items: { type: 'string', enum: ['PCMU'] } }, 'set'],
  ['gateways', { type: 'array', items: { type: 'object', properties: { server: {} } } }, 'objects'],
  ['sip', { type: 'object', properties: { username: {} } }, 'object'],
  ['custom_data', { type: 'object', additionalProperties: { type: 'string' } }, 'map'],
  ['path', { oneOf: [] }, 'json'],
  ['free', { type: 'object', additionalProperties: true }, 'json'],
])('asks for %s by the right control', (name, schema, kind) => {
  expect(kindOf(name, schema)).toBe(kind);
});

it('puts in front what is named, needed or set', () => {
  const schema: Schema = { required: ['name'], properties: { a: {}, name: {}, b: {}, empty: {}, hidden: {} } };
  expect(ordered(schema, { b: 1, empty: {}, hidden: 1 }, ['a'], ['hidden'])).toEqual({ main: ['a', 'name', 'b'], more: ['empty'] });
  expect(memberNames({ properties: { realm: {}, zone: {}, username: {} } })).toEqual(['username', 'realm', 'zone']);
});

it('does not say twice what a name says', () => {
  expect(aboutOf('first_name', { description: 'First name' })).toBe('');
  expect(aboutOf('text', { description: 'The text' })).toBe('');
  expect(aboutOf('method', { description: 'Verb of the request', default: 'get' })).toBe('Verb of the request. Default get');
});

it('reads lists line by line', () => {
  expect(linesOf(' 100 \n\n200')).toEqual(['100', '200']);
});
