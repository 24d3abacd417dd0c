import { describe, expect, it } from 'vitest';
import { apply, edits, format, memberAt, parse, pathAt, read, rewrite, same, spanAt, valueAt, withValue, written } from './text';

const FLOW = `{
  "name": "Order line",
  "numbers": ["2030", "+15554002030"],
  "flow": {
    "module": "menu",
    "data": { "id": "77ac" },
    "children": {
      "1": {
        "module": "pivot",
        "data": {
          "voice_url":   "http://app.example.com/voice.php"
        },
        "children": {}
      },
      "_": { "module": "tts", "data": { "text": "No." } }
    }
  }
}
`;

function mended(text: string, next: unknown): string {
  const parsed = parse(text);
  if (!parsed.root) throw new Error('not JSON');
  return apply(text, edits(text, parsed.root, next));
}

describe('reading JSON', () => {
  it('gives the value and where each part stands', () => {
    const { root } = parse(FLOW);
    expect(root?.value).toEqual(JSON.parse(FLOW));
    const path = ['flow', 'children', '1', 'data', 'voice_url'];
    const span = spanAt(root!, path);
    expect(FLOW.slice(span!.from, span!.to)).toBe('"http://app.example.com/voice.php"');
    const key = memberAt(root!, path);
    expect(FLOW.slice(key!.keyFrom, key!.keyTo)).toBe('"voice_url"');
    expect(pathAt(root!, span!.from + 3)).toEqual(path);
    expect(pathAt(root!, FLOW.indexOf('"pivot"'))).toEqual(['flow', 'children', '1', 'module']);
    expect(pathAt(root!, FLOW.indexOf('2030'))).toEqual(['numbers', 0]);
  });

  it.each([
    ['', 'The document is empty', 1, 1],
    ['{"a": 1,}', 'The comma before } is one too many', 1, 8],
    ['{"a": 1\n "b": 2}', 'A comma or } is missing before “"”', 2, 2],
    ['{"a": get}', 'get is not JSON: texts stand in double quotes', 1, 7],
    ["{'a': 1}", 'A key in double quotes is missing before “\'”', 1, 2],
    ['{"a" 1}', 'A colon is missing after "a"', 1, 6],
    ['{"a": "x\n}', 'The text has no closing quote', 1, 7],
    ['{"a": 01}', '01 is not JSON: texts stand in double quotes', 1, 7],
    ['{"a": }', 'A value is missing before “}”', 1, 7],
    ['{} x', 'Nothing may follow the document, but “x” does', 1, 4],
    ['[1, 2', 'A comma or ] is missing before the end of the text', 1, 6],
  ])('names the mistake in %j', (text, message, line, column) => {
    expect(parse(text).mistake).toMatchObject({ message, line, column });
  });

  it('agrees with JSON.parse on what is JSON', () => {
    const texts = ['0', '-1.5e3', '"\\u00e9\\n"', '[]', '[[[]]]', '{"__proto__": {"x": 1}}', 'nul', '1.', '.5', '+1', '"\\x"', '"\u0001"', '[,]', '{"a":1}}', ' \t\n1 '];
    for (const text of texts) {
      const found = parse(text);
      let known: unknown;
      try {
        known = JSON.parse(text);
      } catch {
        expect(found.root, text).toBeNull();
        continue;
      }
      expect(found.root, text).not.toBeNull();
      expect(same(found.root?.value, known), text).toBe(true);
    }
  });

  it('does not run out of stack', () => {
    expect(parse('['.repeat(100_000)).mistake?.message).toBe('The document is nested too deeply');
  });

  it('finds keys that stand twice', () => {
    const parsed = parse('{"a": {"b": 1, "b": 2}}');
    expect(parsed.root && parsed.repeated.map((each) => each.path)).toEqual([['a', 'b']]);
  });
});

describe('writing back', () => {
  it('changes one value and nothing else', () => {
    const next = withValue(JSON.parse(FLOW), ['flow', 'children', '_', 'data', 'text'], 'Yes.');
    expect(mended(FLOW, next)).toBe(FLOW.replace('"No."', '"Yes."'));
  });

  it('renames a key in its place', () => {
    const doc = JSON.parse(FLOW) as { flow: { children: Record<string, unknown> } };
    doc.flow.children = { 3: doc.flow.children['1'], _: doc.flow.children._ };
    expect(mended(FLOW, doc)).toBe(FLOW.replace('"1": {', '"3": {'));
  });

  it('adds a member in the layout of its neighbours', () => {
    const next = withValue(JSON.parse(FLOW), ['flow', 'children', '1', 'data', 'method'], 'post');
    expect(mended(FLOW, next)).toContain('"http://app.example.com/voice.php",\n          "method": "post"\n        },');
    const flat = withValue(JSON.parse(FLOW), ['flow', 'data', 'x'], true);
    expect(mended(FLOW, flat)).toContain('"data": { "id": "77ac", "x": true },');
  });

  it('takes first, middle and last members out', () => {
    for (const key of ['a', 'b', 'c']) {
      const text = '{\n  "a": 1,\n  "b": 2,\n  "c": 3\n}';
      const next = withValue(JSON.parse(text), [key], undefined);
      const after = mended(text, next);
      expect(JSON.parse(after)).toEqual(next);
      expect(after.split('\n')).toHaveLength(4);
    }
    expect(mended('{"a": 1}', {})).toBe('{}');
  });

  it('says exactly the next value, whatever that is', () => {
    const values = [JSON.parse(FLOW), {}, [], null, 'x', { a: [1, { b: 2 }] }, { a: [1, { b: 3, c: [] }], d: {} }, { name: 'Order line', flow: null }, { z: 1, y: 2, x: 3 }];
    for (const one of values) {
      for (const other of values) {
        const text = format(one);
        expect(JSON.parse(mended(text, other))).toEqual(other);
      }
    }
  });

  it('writes short things on one line and long ones on several', () => {
    expect(format({ a: 1, b: ['x'] })).toBe('{\n  "a": 1,\n  "b": ["x"]\n}');
    expect(format({ a: 1, b: 'x' })).toBe('{ "a": 1, "b": "x" }');
    expect(format({ a: 'x'.repeat(80) })).toContain('\n');
    expect(rewrite('not JSON', { a: 1 })).toBe('{ "a": 1 }\n');
  });
});

describe('paths', () => {
  it('are written and read back', () => {
    const path = ['flow', 'children', '+1.5', '%2E'];
    expect(written(path)).toBe('flow.children.+1%2E5.%252E');
    expect(read(written(path))).toEqual(path);
    expect(read('')).toEqual([]);
  });

  it('lead to values and replace them', () => {
    const doc = { a: [1, { b: 2 }] };
    expect(valueAt(doc, ['a', 1, 'b'])).toBe(2);
    expect(valueAt(doc, ['a', 'constructor'])).toBeUndefined();
    expect(valueAt(doc, ['constructor'])).toBeUndefined();
    expect(withValue(doc, ['a', 1, 'c', 'd'], 3)).toEqual({ a: [1, { b: 2, c: { d: 3 } }] });
    expect(withValue(doc, ['a', 0], undefined)).toEqual({ a: [{ b: 2 }] });
    expect(doc).toEqual({ a: [1, { b: 2 }] });
  });
});
