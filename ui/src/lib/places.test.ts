import { describe, expect, it } from 'vitest';
import { found, PAGES } from './places';

describe('Go to', () => {
  it('puts what begins with the text first', () => {
    const places = [{ address: '/a', words: 'Old settings', kind: 'flow' }, ...PAGES];
    expect(found(places, 'set').map((one) => one.words)).toEqual(['Settings', 'Old settings']);
  });
  it('takes a Call-ID it has never seen', () => {
    expect(found(PAGES, 'a84b4c76e66710@pc33.example')[0]).toMatchObject({ kind: 'Call-ID', address: '/calls/a84b4c76e66710%40pc33.example' });
  });
  it('searches calls for a number', () => {
    expect(found(PAGES, '+1 555').at(-1)?.address).toBe('/calls?q=%2B1%20555');
  });
});
