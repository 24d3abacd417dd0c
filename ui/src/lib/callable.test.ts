import { expect, it } from 'vitest';
import { callable } from './callable';

it('numbers come in their order, without names and patterns', () => {
  const flows = [{ name: 'a', numbers: ['2030', 'no_match'] }, { name: 'b', numbers: ['100', '+15550100'] }, {}];
  expect(callable(flows).map((one) => one.number)).toEqual(['100', '2030', '+15550100']);
});
