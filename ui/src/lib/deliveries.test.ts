import { expect, it } from 'vitest';
import { clock, headersOf, pretty } from './deliveries';

it('makes bodies readable and leaves alone what it does not know', () => {
  expect(pretty('{"a":1}')).toBe('{\n  "a": 1\n}');
  expect(pretty('a=1+2&b=%26')).toBe('a = 1 2\nb = &');
  expect(pretty('<html>')).toBe('<html>');
});

it('reads headers and times as they are told', () => {
  expect(headersOf({ 'content-type': 'a' })).toEqual([['content-type', 'a']]);
  expect(headersOf([['a', 'b']])).toEqual([['a', 'b']]);
  expect(headersOf(null)).toEqual([]);
  expect(clock(62_167_219_200)).not.toBe('');
  expect(clock(NaN)).toBe('');
});
