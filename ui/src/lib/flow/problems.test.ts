import { describe, expect, it } from 'vitest';
import { type Known, problems } from './problems';
import { check, nearest, type Schema } from './schema';
import { suggest } from './suggest';

const PIVOT: Schema = {
  type: 'object', description: 'Asks a web server what to do with the call', oneOf: [{ required: ['voice_url'] }, { required: ['serverless'] }],
  properties: {
    voice_url: { type: 'string' }, cdr_url: { type: 'string' }, debug: { type: 'boolean', default: false },
    method: { type: 'string', enum: ['get', 'post', 'GET', 'POST'], default: 'get' }, req_timeout_ms: { type: 'integer', maximum: 30_000 }, serverless: { type: 'object' },
  },
};
const KNOWN: Known = {
  id: 'own',
  modules: ['pivot', 'tts', 'device', 'menu', 'hangup', 'callflow', 'check_cid'],
  schemas: {
    'callflows.pivot': PIVOT,
    'callflows.tts': { type: 'object', required: ['text'], properties: { text: { type: 'string', minLength: 1 }, voice: { type: 'string', default: 'female' } } },
    'callflows.callflow': { type: 'object', properties: { id: { type: 'string' }, flow: { $ref: 'callflows.action' } } },
    callflows: { type: 'object', required: ['flow'], properties: { name: { type: 'string' }, numbers: { type: 'array', items: { type: 'string', minLength: 1 }, uniqueItems: true } } },
    'callflows.action': { type: 'object', properties: { module: { type: 'string', description: 'Name' }, data: { type: 'object' }, children: { type: 'object' } } },
  },
  ids: { devices: new Set(['a'.repeat(32)]), callflows: new Set(['own']) },
  numbers: new Map([['2030', { id: 'own', name: 'Order line' }], ['100', { id: 'other', name: 'Echo' }]]),
};

const doc = (flow: unknown, numbers: string[] = ['2030']) => ({ name: 'x', numbers, flow });
const pivot = (data: object, children: object = { _: { module: 'hangup', data: {} } }) => doc({ module: 'pivot', data: { voice_url: 'https://app.example.com/', ...data }, children });
const told = (value: unknown) => problems(value, KNOWN).map((each) => each.text);
const mended = (value: unknown, n = 0): unknown => {
  const problem = problems(value, KNOWN)[n];
  if (!problem?.mend) throw new Error(`no mend for ${problem?.text}`);
  return problem.mend.apply(value);
};

describe('problems', () => {
  it('are none in a good callflow', () => {
    expect(told(pivot({ method: 'POST', debug: 'true', req_timeout_ms: '3000' }))).toEqual([]);
  });

  it('name the setting, what it must be and what it is', () => {
    const [problem] = problems(pivot({ method: 'fetch' }), KNOWN);
    expect(problem).toMatchObject({ severity: 'err', text: 'method must be get or post.', detail: 'It is “fetch”.', path: ['flow', 'data', 'method'] });
    expect(problem?.mend?.label).toBe('Use get');
    expect(told(mended(pivot({ method: 'fetch' })))).toEqual([]);
  });

  it('mend a module nobody knows by the nearest one', () => {
    const wrong = doc({ module: 'pivto', data: {}, children: {} });
    expect(problems(wrong, KNOWN)[0]?.mend?.label).toBe('Use pivot');
    expect(mended(wrong)).toMatchObject({ flow: { module: 'pivot' } });
    expect(problems(doc({ module: 'qqqqqq', data: {} }), KNOWN)[0]).toMatchObject({ choose: true });
  });

  it('take modules that are not built for warnings', () => {
    expect(problems(doc({ module: 'voicemail', data: {}, children: {} }), KNOWN)).toMatchObject([{ severity: 'warn', text: 'voicemail is not available yet.' }]);
  });

  it('ask for what is missing', () => {
    expect(told(doc({ module: 'tts', data: {} }))).toEqual(['text is missing.']);
    expect(told({ numbers: ['2030'] })).toEqual(['There is no first node.']);
    expect(told([])).toEqual(['A callflow is an object.']);
    expect(mended(doc({ module: 'hangup' }))).toMatchObject({ flow: { data: {} } });
    expect(told(doc({ data: {} }))).toEqual(['module is missing.']);
  });

  it('warn of addresses without encryption, but not on this machine', () => {
    const open = pivot({ voice_url: 'http://app.example.com/voice.php' });
    expect(told(open)).toEqual(['voice_url uses http.']);
    expect(mended(open)).toMatchObject({ flow: { data: { voice_url: 'https://app.example.com/voice.php' } } });
    expect(told(pivot({ voice_url: 'http://127.0.0.1:9000/' }))).toEqual([]);
    expect(problems(pivot({ voice_url: 'https://' }), KNOWN)[0]?.severity).toBe('err');
  });

  it('want a way out of pivot, and offer one', () => {
    const bare = pivot({}, {});
    expect(told(bare)).toEqual(['pivot has no _ child.']);
    expect(told(mended(bare))).toEqual([]);
  });

  it('find children that are never reached', () => {
    const lost = doc({ module: 'tts', data: { text: 'x' }, children: { 1: { module: 'hangup', data: {} } } });
    expect(told(lost)).toEqual(['tts does not go on with 1.']);
    expect(mended(lost)).toMatchObject({ flow: { children: { _: { module: 'hangup' } } } });
    expect(told(doc({ module: 'hangup', data: {}, children: { _: { module: 'hangup', data: {} } } }))).toEqual(['Nothing goes on after hangup.']);
  });

  it('find documents that are gone and numbers that are taken', () => {
    expect(told(doc({ module: 'device', data: { id: 'b'.repeat(32) } }))).toEqual(['Device bbbb…bb does not exist.']);
    expect(told(doc({ module: 'device', data: { id: 'a'.repeat(32) } }))).toEqual([]);
    const taken = doc({ module: 'hangup', data: {} }, ['2030', '100']);
    expect(told(taken)).toEqual(['100 already leads to Echo.']);
    expect(mended(taken)).toMatchObject({ numbers: ['2030'] });
  });

  it('find settings that are misspelt', () => {
    const wrong = pivot({ metod: 'post' });
    expect(told(wrong)).toEqual(['metod is not a setting of this module.']);
    expect(mended(wrong)).toMatchObject({ flow: { data: { method: 'post' } } });
  });

  it('look into nodes inside data', () => {
    expect(told(doc({ module: 'callflow', data: { flow: { module: 'tts', data: {} } } }))).toEqual(['text is missing.']);
  });

  it('ask for one of several settings', () => {
    const _ = { module: 'hangup', data: {} };
    expect(told(doc({ module: 'pivot', data: {}, children: { _ } }))).toEqual(['voice_url or serverless is missing.']);
    expect(told(pivot({ serverless: {} }))).toEqual(['Only one of voice_url and serverless may be there.']);
    expect(told(doc({ module: 'pivot', data: { serverless: {}, method: 'x' }, children: { _ } }))).toEqual(['method must be get or post.']);
  });

  it('come errors first', () => {
    const both = pivot({ voice_url: 'http://app.example.com/', method: 'x' });
    expect(problems(both, KNOWN).map((each) => each.severity)).toEqual(['err', 'warn']);
  });
});

describe('suggestions', () => {
  const value = pivot({});
  it('offer values, keys and modules by the schemas', () => {
    expect(suggest('value', ['flow', 'data', 'method'], value, KNOWN)).toEqual([{ text: '"get"', detail: 'default' }, { text: '"post"', detail: '' }]);
    expect(suggest('value', ['flow', 'data', 'debug'], value, KNOWN).map((each) => each.text)).toEqual(['true', 'false']);
    expect(suggest('value', ['flow', 'children', '_', 'module'], value, KNOWN)).toHaveLength(KNOWN.modules.length);
    expect(suggest('key', ['flow', 'data'], value, KNOWN, ['voice_url']).map((each) => each.text)).toEqual(['"cdr_url"', '"debug"', '"method"', '"req_timeout_ms"', '"serverless"']);
    expect(suggest('key', ['flow'], value, KNOWN).map((each) => each.text)).toEqual(['"module"', '"data"', '"children"']);
    expect(suggest('key', [], value, KNOWN).map((each) => each.text)).toEqual(['"name"', '"numbers"']);
    expect(suggest('key', ['flow', 'children'], value, KNOWN).map((each) => each.text)).toEqual(['"_"']);
  });
});

describe('schemas', () => {
  it.each<[Schema, unknown, string[]]>([
    [{ type: 'integer', minimum: 3 }, 2, ['minimum']],
    [{ type: 'string', enum: ['a'] }, 'b', ['enum']],
    [{ type: 'object', additionalProperties: false, properties: {} }, { x: 1 }, ['additionalProperties']],
    [{ type: 'array', items: { type: 'string' }, uniqueItems: true }, ['a', 'a', 1], ['uniqueItems', 'type']],
    [{ oneOf: [{ type: 'string' }, { type: 'boolean' }] }, 5, ['oneOf']],
    [{ oneOf: [{ type: 'string' }, { type: 'boolean' }] }, true, []],
    [{ type: ['string', 'object'] }, {}, []],
    [{ type: 'string', pattern: '^a' }, 'b', ['pattern']],
    [{ type: 'object', patternProperties: { '.+': { type: 'integer' } } }, { x: 'y' }, ['type']],
    [{ type: 'string', maxLength: 2 }, 'ééé', ['maxLength']],
  ])('%j judges %j', (schema, value, rules) => {
    expect(check(schema, value).map((each) => each.rule)).toEqual(rules);
  });

  it('guess what was meant only when it is near', () => {
    expect(nearest('pviot', KNOWN.modules)).toBe('pivot');
    expect(nearest('speak', KNOWN.modules)).toBeUndefined();
  });
});
