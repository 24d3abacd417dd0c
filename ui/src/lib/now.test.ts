import { describe, expect, it } from 'vitest';
import { type CallRow, kindOf, placed } from './now';

const row = (call_id: string): CallRow => ({
  call_id, from: '1', from_name: null, to: '2', to_name: null, state: 'talking', node: '', last_hook: '', since: 0, device: '',
});
const told = (rows: ReturnType<typeof placed>) => rows.map((one) => one.row.call_id + (one.ended ? ' ended' : ''));

describe('rows of calls in progress', () => {
  it('follow the server while nobody points at them', () => {
    expect(told(placed([row('a'), row('b')], [row('c'), row('a')], false))).toEqual(['c', 'a']);
  });
  it('keep their places under the pointer', () => {
    expect(told(placed([row('a'), row('b')], [row('c'), row('b')], true))).toEqual(['a ended', 'b', 'c']);
  });
  it('are coloured by kind', () => {
    expect(['talking', 'waiting for keys', 'asking', 'ringing'].map(kindOf)).toEqual(['media', 'key', 'hook', '']);
  });
});
