import { json } from '@codemirror/lang-json';
import { ensureSyntaxTree } from '@codemirror/language';
import { EditorState } from '@codemirror/state';
import { expect, it } from 'vitest';
import { placeOf } from './write';

// `|` is the cursor.
it.each([
  ['{"flow": {"module": "piv|"}}', 'value', ['flow', 'module'], []],
  ['{"flow": {"module": |}}', 'value', ['flow', 'module'], []],
  ['{"flow": {"data": {"me|": 1, "debug": true}}}', 'key', ['flow', 'data'], ['debug']],
  ['{"flow": {"data": {"debug": true, "me|"}}}', 'key', ['flow', 'data'], ['debug']],
  ['{"flow": {|}}', 'key', ['flow'], []],
  ['{"numbers": ["a", "b|"]}', 'value', ['numbers', 1], []],
  ['{"flow": {"data": {"method": "ge|', 'value', ['flow', 'data', 'method'], []],
])('knows what is written at %s', (text, what, path, present) => {
  const pos = text.indexOf('|');
  const state = EditorState.create({ doc: text.replace('|', ''), extensions: json() });
  ensureSyntaxTree(state, state.doc.length, 5000);
  expect(placeOf(state, pos)).toMatchObject({ what, path, present });
});
