import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { comparable, jsonBreak, lineOf, pretty, prettyXml } from './document';
import { curl, languageOf, parameters, shortUrl } from './http';
import type { HttpRequest } from './types';

const request = (more: Partial<HttpRequest>): HttpRequest => ({ method: 'GET', url: 'http://a.test/x', headers: [], body: '', ...more });

describe('a request', () => {
  it('names its parameters, from the query, a form or JSON', () => {
    expect(parameters(request({ url: 'http://a.test/x?b=2&a=1%20+2#frag' }))).toEqual([['a', '1  2'], ['b', '2']]);
    expect(parameters(request({ method: 'POST', body: 'Digits%5Bdefault%5D=4711', content_type: 'application/x-www-form-urlencoded' }))).toEqual([['Digits[default]', '4711']]);
    expect(parameters(request({ method: 'POST', body: '{"Digits":{"default":"4711"},"n":1}', content_type: 'application/json' }))).toEqual([['Digits[default]', '4711'], ['n', '1']]);
    expect(parameters(request({ method: 'POST', body: '{broken', content_type: 'application/json' }))).toEqual([]);
  });

  it('becomes a curl command that a shell reads as it was meant', () => {
    const nasty = "it's $(touch /tmp/no) `id` \"quoted\" \\ \n new & line";
    const command = curl(request({ method: 'POST', url: `http://a.test/?q=${encodeURIComponent(nasty)}`, headers: [['x-name', "o'hara"], ['authorization', '••• (masked)'], ['Content-Length', '3']], body: nasty }));
    // `curl` is a function here that prints its arguments.
    const seen = execFileSync('/bin/sh', ['-c', `curl() { for word in "$@"; do printf '%s\\037' "$word"; done; }; ${command}`]).toString().split('\u001f').slice(0, -1);
    expect(seen).toEqual(['-X', 'POST', '-H', "x-name: o'hara", '--data-binary', nasty, `http://a.test/?q=${encodeURIComponent(nasty)}`]);
  });

  it('has a short address', () => {
    expect(shortUrl('https://app.test:8443/a/b?c=d')).toEqual({ origin: 'app.test:8443', path: '/a/b' });
    expect(shortUrl('not an address?x').path).toBe('not an address');
  });
});

describe('a body', () => {
  it('is recognised', () => {
    expect(languageOf('application/json', '')).toBe('json');
    expect(languageOf(null, ' {"a":1}')).toBe('json');
    expect(languageOf('text/html', '{')).toBe('xml');
    expect(languageOf('application/xml', '<Response/>')).toBe('xml');
    expect(languageOf('text/plain', 'hello')).toBe('text');
  });

  it('says where its JSON breaks', () => {
    expect(jsonBreak('{"a": 1}')).toBeNull();
    expect(jsonBreak('{\n  "a": 1,\n  "b": }\n}')).toMatchObject({ line: 3 });
    expect(jsonBreak('{\n  "a": 1,\n  "b": }\n}')).toMatchObject({ column: 8, first: 1, context: ['{', '  "a": 1,', '  "b": }', '}'] });
    expect(jsonBreak('')).toMatchObject({ line: 1, column: 1 });
    for (const [text, column] of [['[1,]', 4], ['{"a" 1}', 6], ["{'a':1}", 2], ['[1 2]', 4], ['{"a":1', 7], ['"\\x"', 1], ['[1]]', 4], ['nul', 1], ['{,}', 2], ['[01]', 3]] as const) {
      expect(jsonBreak(text)?.column, text).toBe(column);
    }
  });
});

describe('documents', () => {
  it('are compared without the order of keys or white space', () => {
    const [one, other] = comparable('{"b":1,"a":{"y":2,"x":[1,{"q":1,"p":2}]}}', '{ "a": {"x":[1, {"p":2,"q":1}], "y":2}, "b":1 }');
    expect(other).toBe(one);
    const [left, right] = comparable('<a>\n  <b/>\n</a>', '<a><b/></a>');
    expect(right).toBe(left);
  });

  it('keep their differences', () => {
    const [one, other] = comparable('{"data":{"langauge":"en"},"module":"tts"}', '{"module":"tts","data":{"language":"en"}}');
    expect(one).toContain('langauge');
    expect(other).toContain('language');
    expect(other.indexOf('data')).toBeLessThan(other.indexOf('module'));
    expect(comparable('[1,2]', '[2,1]')[0]).not.toBe(comparable('[1,2]', '[2,1]')[1]);
  });

  it('are laid out without touching their text', () => {
    expect(prettyXml('<?xml version="1.0"?>\n<Response><Gather numDigits="1" action="a?b>c"><Say>Press  1.</Say></Gather><Say/><Say></Say><Dial><Number>2</Number></Dial></Response>\n').split('\n')).toEqual([
      '<?xml version="1.0"?>', '<Response>', '  <Gather numDigits="1" action="a?b>c">', '    <Say>Press  1.</Say>', '  </Gather>', '  <Say/>', '  <Say></Say>', '  <Dial>', '    <Number>2</Number>', '  </Dial>', '</Response>',
    ]);
    expect(prettyXml('<a><!-- <b> --><![CDATA[ <c> ]]></a>')).toContain('<![CDATA[ <c> ]]>');
    expect(prettyXml('<a><b></a>')).toBe('<a><b></a>');
    expect(prettyXml('no markup')).toBe('no markup');
  });

  it('have a line for each path', () => {
    const text = pretty('{"module":"tts","data":{"text":"}{","langauge":"en"},"children":{"_":{"module":"menu","data":{"list":[{"a":1},{"b":{"c":2}}]}}}}');
    const at = (path: string) => text.split('\n')[(lineOf(text, path) ?? 0) - 1]?.trim();
    expect(at('data.langauge')).toBe('"langauge": "en"');
    expect(at('children._.module')).toBe('"module": "menu",');
    expect(at('children._.data.list.1.b.c')).toBe('"c": 2');
    expect(at('/children/_/data/list[0]/a')).toBe('"a": 1');
    expect(lineOf(text, 'no.such')).toBeNull();
    expect(lineOf(text, '')).toBeNull();
  });
});
