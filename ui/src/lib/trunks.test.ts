import { expect, it } from 'vitest';
import { verdict } from './trunks';

it('names the step that failed', () => {
  expect(verdict([{ step: 'name', state: 'ok', text: '' }, { step: 'tls', state: 'failed', text: '' }])).toBe('Calls do not go out by this trunk: TLS failed.');
  expect(verdict([{ step: 'options', state: 'ok', text: '' }, { step: 'call', state: 'ok', text: '' }])).toBe('Calls go out by this trunk.');
  expect(verdict([{ step: 'name', state: 'ok', text: '' }, { step: 'tls', state: 'skipped', text: '' }])).toMatch(/^The trunk answers/);
});
