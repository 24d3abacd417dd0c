import { expect, it } from 'vitest';
import { places } from './callers.svelte';
import { picture } from './tree';

const tree = picture({ flow: { module: 'tts', data: {}, children: { _: { module: 'pivot', data: {}, children: { _: { module: 'hangup', data: {}, children: {} } } } } } });
const row = (node: string, node_path: string) => [{ call_id: 'c', callflow_id: 'own', node, node_path }];

it('puts calls at the node they are at', () => {
  expect([...places(row('pivot', '_'), 'own', tree, new Map())]).toEqual([['c', 'children._']]);
  expect([...places(row('tts', ''), 'own', tree, new Map())]).toEqual([['c', '']]);
});

it('leaves a call at the pivot node while it runs what the server answered', () => {
  const before = new Map([['c', 'children._']]);
  expect([...places(row('collect_dtmf', ''), 'own', tree, before)]).toEqual([['c', 'children._']]);
  expect([...places(row('tts', ''), 'own', tree, before)]).toEqual([['c', 'children._']]);
  expect([...places(row('hangup', '_._'), 'own', tree, before)]).toEqual([['c', 'children._.children._']]);
});

it('counts nobody of other callflows', () => {
  expect(places([{ call_id: 'c', callflow_id: 'other', node: 'tts', node_path: '' }, { call_id: 'd' }], 'own', tree, new Map()).size).toBe(0);
});
