import { describe, expect, it } from 'vitest';
import { layout, HEIGHT, WIDTH } from './layout';
import { edgeWord, lineOf } from './modules';
import { add, addBefore, all, atOf, find, freeKey, move, nodeAround, pathOf, picture, remove, rename, walk } from './tree';
import { valueAt } from './text';

const tts = (text: string) => ({ module: 'tts', data: { text }, children: {} });
const DOC = {
  name: 'Order line',
  flow: {
    module: 'menu',
    data: { id: 'm' },
    children: {
      _: tts('Nothing'),
      10: tts('Ten'),
      2: { module: 'pivot', data: { voice_url: 'https://app.example.com/voice.php' }, children: { _: tts('Closed') } },
      timeout: { module: 'hangup', data: {}, children: {} },
    },
  },
};

describe('the picture', () => {
  const root = picture(DOC)!;

  it('draws keys as on a telephone, names after them, the default last', () => {
    expect(root.children.map((child) => child.key)).toEqual(['2', '10', 'timeout', '_']);
    expect(root.children.map((child) => child.word)).toEqual(['key 2', 'keys 10', 'no key, timeout', 'no entry fits']);
    expect(root.children[0]?.line).toBe('GET app.example.com/voice.php');
    expect(root.children[0]?.children[0]?.word).toBe('if the server fails');
  });

  it('has an address for every node, which leads back to it', () => {
    for (const node of all(root)) {
      expect(atOf(pathOf(node.at))).toBe(node.at);
      expect(find(root, node.at)).toBe(node);
    }
    expect(nodeAround(root, ['flow', 'children', '2', 'data', 'voice_url'])?.module).toBe('pivot');
    expect(nodeAround(root, ['name'])).toBeNull();
  });

  it('is walked as it is drawn', () => {
    expect(walk(root, '', 'down').key).toBe('2');
    expect(walk(root, 'children.2', 'right').key).toBe('10');
    expect(walk(root, 'children.2', 'left').key).toBe('2');
    expect(walk(root, 'children.2.children._', 'up').key).toBe('2');
    expect(walk(root, '', 'up')).toBe(root);
    expect(walk(root, '', 'last').key).toBe('_');
  });

  it('never lets boxes overlap', () => {
    const { boxes, width, height } = layout(root, (node) => !node.last);
    for (const one of boxes) {
      expect(one.x >= 0 && one.x + WIDTH <= width && one.y + HEIGHT <= height).toBe(true);
      for (const other of boxes) {
        if (one === other) continue;
        expect(Math.abs(one.x - other.x) >= WIDTH || Math.abs(one.y - other.y) >= HEIGHT).toBe(true);
      }
    }
  });

  it('is absent without a first node, and survives nodes that are none', () => {
    expect(picture({})).toBeNull();
    expect(picture(null)).toBeNull();
    expect(picture({ flow: { module: 'tts', children: { _: 5 } } })?.children[0]?.module).toBe('');
  });
});

describe('editing', () => {
  it('adds below, and before', () => {
    const added = add(DOC, ['flow', 'children', '10'], '_', 'hangup');
    expect(valueAt(added.doc, [...added.path, 'module'])).toBe('hangup');
    expect(add({ name: 'x' }, null, '', 'pivot').doc).toMatchObject({ flow: { module: 'pivot' } });
    const before = addBefore(DOC, ['flow', 'children', '2'], 'tts');
    expect(valueAt(before, ['flow', 'children', '2', 'children', '_', 'module'])).toBe('pivot');
  });

  it('removes a node, or keeps what follows it in its place', () => {
    expect(valueAt(remove(DOC, ['flow', 'children', '2']), ['flow', 'children'])).not.toHaveProperty('2');
    expect(valueAt(remove(DOC, ['flow', 'children', '2'], true), ['flow', 'children', '2', 'module'])).toBe('tts');
    expect(remove(DOC, ['flow'])).toEqual({ name: 'Order line' });
  });

  it('gives an edge another key, never one that is taken', () => {
    expect(rename(DOC, ['flow', 'children', '2'], '3')?.path).toEqual(['flow', 'children', '3']);
    expect(rename(DOC, ['flow', 'children', '2'], '10')).toBeNull();
    expect(rename(DOC, ['flow', 'children', '2'], '')).toBeNull();
  });

  it('moves a branch, but not into itself', () => {
    const moved = move(DOC, ['flow', 'children', '2'], ['flow', 'children', '10'], '_')!;
    expect(valueAt(moved.doc, ['flow', 'children', '10', 'children', '_', 'module'])).toBe('pivot');
    expect(valueAt(moved.doc, ['flow', 'children'])).not.toHaveProperty('2');
    expect(move(DOC, ['flow', 'children', '2'], ['flow', 'children', '2', 'children', '_'], '_')).toBeNull();
    expect(move(DOC, ['flow'], ['flow', 'children', '2'], '9')).toBeNull();
    expect(move(DOC, ['flow', 'children', '2'], ['flow'], '10')).toBeNull();
  });

  it('finds the next free key', () => {
    expect(freeKey(DOC, ['flow'])).toBe('1');
    expect(freeKey(DOC, ['flow', 'children', '10'])).toBe('_');
  });
});

describe('words', () => {
  it('say what must happen for an edge to be taken', () => {
    expect(edgeWord('device', '_')).toBe('not answered');
    expect(edgeWord('tts', '_')).toBe('then');
    expect(edgeWord('temporal_route', 'ab', () => 'Office hours')).toBe('Office hours');
  });

  it('say what a node does, whatever its data is', () => {
    expect(lineOf('device', { id: 'd1', timeout: 20 }, () => 'Front desk')).toBe('Front desk · rings 20 s');
    expect(lineOf('tts', {})).toBe('says nothing yet');
    expect(lineOf('response', { code: 486, message: 'Busy' })).toBe('486 · Busy');
    for (const data of [null, 5, [], 'x', { id: {} }]) expect(() => lineOf('device', data)).not.toThrow();
  });
});
