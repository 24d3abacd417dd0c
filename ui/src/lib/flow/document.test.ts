import { describe, expect, it } from 'vitest';
import { FlowDocument } from './document.svelte';
import { add, remove } from './tree';
import { format, withValue } from './text';

const DOC = { name: 'x', numbers: ['1'], flow: { module: 'pivot', data: { voice_url: 'https://a.example/' }, children: { _: { module: 'tts', data: { text: 'Closed' }, children: {} } } } };
const fresh = () => new FlowDocument(format(DOC));

describe('a callflow that is being edited', () => {
  it('shows an edit of the tree in the text, and an edit of the text in the tree', () => {
    const flow = fresh();
    flow.edit(add(flow.doc, ['flow', 'children', '_'], '_', 'hangup').doc, 'children._.children._');
    expect(JSON.parse(flow.text)).toEqual(flow.doc);
    expect(flow.selected?.module).toBe('hangup');
    flow.type(flow.text.replace('"hangup"', '"response"'), 0);
    expect(flow.selected?.module).toBe('response');
  });

  it('keeps the last picture while the text is no JSON, and takes no edit of it', () => {
    const flow = fresh();
    const before = flow.doc;
    flow.type(flow.text.replace('"Closed"', 'Closed'), 0);
    expect(flow.mistake?.line).toBeGreaterThan(1);
    expect(flow.doc).toBe(before);
    expect(flow.tree?.children[0]?.line).toBe('“Closed”');
    expect(flow.edit(withValue(flow.doc, ['name'], 'y'))).toBe(false);
    flow.undo();
    expect(flow.mistake).toBeNull();
  });

  it('undoes typing and tree edits in the order they were made', () => {
    const flow = fresh();
    const begin = flow.text;
    flow.type(flow.text.replace('Closed', 'Closed now'), 0);
    const typed = flow.text;
    flow.select('children._');
    flow.edit(remove(flow.doc, ['flow', 'children', '_']), '');
    expect(flow.changes).toBe(2);
    expect(flow.dirty).toBe(true);
    flow.undo();
    expect(flow.text).toBe(typed);
    flow.undo();
    expect(flow.text).toBe(begin);
    expect(flow.dirty).toBe(false);
    expect(flow.canUndo).toBe(false);
    flow.redo();
    flow.redo();
    expect(flow.tree?.children).toEqual([]);
    expect(flow.canRedo).toBe(false);
  });

  it('selects the node the cursor is in, and knows the lines of the node that is selected', () => {
    const flow = fresh();
    expect(flow.selectOffset(flow.text.indexOf('Closed'))).toBe('children._');
    const { from, to } = flow.chosen!;
    expect(flow.text.slice(from, to)).toMatch(/^"_": \{[^]*\}$/);
    expect(flow.selectOffset(flow.text.indexOf('"name"'))).toBeNull();
    expect(flow.selectOffset(flow.text.indexOf('"name"') + 1)).toBeUndefined();
  });

  it('finds the place of what is missing', () => {
    const flow = fresh();
    const range = flow.rangeOf(['flow', 'data', 'method']);
    expect(flow.text.slice(range?.from, range?.to)).toBe('"data"');
    expect(flow.rangeOf([])).toEqual({ from: 0, to: 1 });
  });

  it('is unsaved until it is saved, also after undo', () => {
    const flow = fresh();
    flow.edit(withValue(flow.doc, ['name'], 'y'));
    flow.saved();
    expect(flow.dirty).toBe(false);
    flow.undo();
    expect(flow.dirty).toBe(true);
  });
});

it('takes another text as a step of its own, however soon after the last', () => {
  const flow = new FlowDocument('{"a": 1}', () => undefined);
  flow.put('{"a": 2}');
  flow.put('{"a": 3}');
  flow.undo();
  expect(flow.text).toBe('{"a": 2}');
});
