import { expect, it } from 'vitest';
import { leadsTo, simpleFlow } from './numbers';

const FLOWS = [
  { id: 'a', name: 'Sales', numbers: ['+14155550100'] },
  { id: 'b', name: 'Rest', numbers: [], patterns: ['^\\+1415', '('] },
];

it('finds the callflow of a number, by its own before by a pattern', () => {
  expect(leadsTo(FLOWS, '+14155550100')?.id).toBe('a');
  expect(leadsTo(FLOWS, '+14155550199')?.id).toBe('b');
  expect(leadsTo(FLOWS, '+4930')).toBeUndefined();
});

it('makes a callflow that asks a server, or rings somebody', () => {
  expect(simpleFlow('+1', 'hook', 'https://a.example/', 'x')).toMatchObject({ numbers: ['+1'], flow: { module: 'pivot', data: { voice_url: 'https://a.example/' } } });
  expect(simpleFlow('+1', 'user', 'u', 'x')).toMatchObject({ flow: { module: 'user', data: { id: 'u' } } });
});
