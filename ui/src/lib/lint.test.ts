import { expect, it } from 'vitest';
import { marksOf, read } from './lint';

const TEXT = '<Response>\n  <Say voice="x">Hi</Say>\n</Response>\n';

it('puts findings where they stand', () => {
  const found = read({ document: true, findings: [{ line: 2, column: 3, status: 'refused', path: 'Response/Say', message: 'is refused' }, { line: 2, column: 8, status: 'ignored', path: 'Response/Say@voice', message: 'is not known' }] });
  expect(found.map((each) => each.severity)).toEqual(['err', 'warn']);
  const marks = marksOf(TEXT, found);
  expect(marks.map((mark) => TEXT.slice(mark.from, mark.to))).toEqual(['<Say', 'voice']);
});

it('says when a document is none, and survives places outside of it', () => {
  expect(read({ document: false, error: 'expected a tag at 3:4' })).toMatchObject([{ severity: 'err', line: 3, column: 4 }]);
  expect(marksOf(TEXT, [{ severity: 'err', text: '', line: 99, column: 1 }])).toEqual([]);
});
