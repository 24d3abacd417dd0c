import { describe, expect, it } from 'vitest';
import { age, callAddress, count, duration } from './words';

describe('figures in words', () => {
  it('says durations as clocks do', () => {
    expect([0, 83, 3700, -5].map(duration)).toEqual(['00:00', '01:23', '1:01:40', '00:00']);
  });
  it('says ages in their two largest units', () => {
    expect([12, 600, 4000, 540_000].map(age)).toEqual(['12 s', '10 min', '1 h 6 min', '6 d 6 h']);
  });
  it('counts', () => {
    expect([count(1, 'call'), count(2, 'call'), count(1200, 'reply', 'replies')]).toEqual(['1 call', '2 calls', '1,200 replies']);
  });
  it('keeps a Call-ID with a slash in one part of the address', () => {
    expect(callAddress('a/b@c?d')).toBe('/calls/a%2Fb%40c%3Fd');
  });
});
