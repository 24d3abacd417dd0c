import { describe, expect, it } from 'vitest';
import { begin, csv, ending, fits, gregorian, type Record, resultOf } from './calls';

const record = (change: Partial<Record>): Record => ({
  id: '202601-a', call_id: 'a@b', caller_id_number: '+15552014477', caller_id_name: 'Ada', dialed_number: '2030', callee_id_name: '',
  duration_seconds: 9, billing_seconds: 8, hangup_cause: 'NORMAL_CLEARING', direction: 'inbound', unix_timestamp_micro: '1700000000.250000',
  interaction_id: 'i', ...change,
});

describe('call records', () => {
  it('end well, unanswered, or badly', () => {
    const of = (hangup_cause: string, billing_seconds: number) => resultOf(record({ hangup_cause, billing_seconds }));
    expect([of('NORMAL_CLEARING', 8), of('NO_ANSWER', 0), of('INCOMPATIBLE_DESTINATION', 0)]).toEqual(['completed', 'unanswered', 'failed']);
    expect(ending(record({ hangup_cause: 'SOME_NEW_CAUSE' }))).toBe('some new cause');
  });
  it('are found by number with spaces, name or Call-ID', () => {
    expect(['+1 555 201', 'ada', 'A@B', '2030', ''].map((text) => fits(record({}), text))).toEqual([true, true, true, true, true]);
    expect(fits(record({}), 'grace')).toBe(false);
  });
  it('know their times', () => {
    expect(begin(record({}))).toBe(1_700_000_000_250_000);
    expect(gregorian(0)).toBe(62_167_219_200);
  });
  it('do not become formulas in a spreadsheet', () => {
    const text = csv([record({ caller_id_name: '=HYPERLINK("x")', caller_id_number: '+15552014477' })]);
    expect(text).toContain('+15552014477,"\'=HYPERLINK(""x"")",2030');
  });
});
