import { describe, expect, it } from 'vitest';
import { detail, failed, finished } from '../lens/call.fixture';
import { difference, ends, fromDocuments, fromLens, micros, rawRequest, shape } from './exchanges';

describe('exchanges', () => {
  it('come from the lens with their answers', () => {
    expect(fromLens(finished()).map((each) => [each.n, each.method, each.path, each.status, each.took_ms, each.severity])).toEqual([
      [1, 'GET', '/voice.php', 200, 84, null], [2, 'POST', '/order.php', 200, 212, 'warn'], [3, 'POST', '/events', 200, 41, null],
    ]);
    expect(fromLens(failed())[0]).toMatchObject({ status: 500, severity: 'err', trouble: null });
  });

  it('leave out what is reported to others, and keep their numbers', () => {
    const lens = finished();
    lens.events = lens.events.map((event) => (event.n === 4 ? { ...event, detail: 'webhook' } : event));
    expect(fromLens(lens).map((each) => each.n)).toEqual([2, 3]);
  });

  it('say in short what was wrong with an answer', () => {
    const lens = finished();
    const at = lens.events.findIndex((event) => event.pair === 4);
    const answer = { ...lens.events[at]!, severity: 'err' as const };
    lens.events[at] = { ...answer, title: 'no answer', took_ms: 5000 };
    expect(fromLens(lens)[0]?.trouble).toBe('no answer, 5.00 s');
    lens.events[at] = { ...answer, findings: [{ severity: 'err', text: 'expected value', line: 6, column: 3 }] };
    expect(fromLens(lens)[0]?.trouble).toBe('JSON error, line 6');
    lens.events.splice(at, 1);
    expect(fromLens(lens)[0]?.trouble).toBe('no answer');
  });

  it('come from the debug log where there is no lens', () => {
    const all = fromDocuments([
      { call_id: 'a', iteration: 1, created: 1, uri: 'http://x.test/a?Request=2030&Caller-ID-Number=1', method: 'get', req_headers: { accept: '*/*' }, req_body: '' },
      { call_id: 'a', iteration: 1, created: 1, resp_status_code: '200', resp_headers: { 'content-type': 'application/json' }, resp_body: '{\n"a":}' },
      { call_id: 'a', iteration: 1, created: 1, json_errors: { before: '{\n"a":', after: '}', message: 'expected value' }, resp_body: '' },
      { call_id: 'a', iteration: 2, created: 2, uri: 'http://x.test/b', method: 'post', req_body: 'a=1' },
      { call_id: 'a', iteration: 2, created: 2, note: 'connection refused' },
      { call_id: 'a', iteration: 3, created: 2, schema_errors: [{ 'data.text': { minLength: { message: 'too short' } } }] },
    ]);
    expect(all.map((each) => [each.n, each.trouble, each.severity])).toEqual([[1, 'JSON error, line 2', 'err'], [2, 'no answer', 'err'], [3, null, 'warn']]);
    expect(all[0]?.findings[0]).toMatchObject({ line: 2, column: 5 });
    expect(all[1]?.error).toBe('connection refused');
    expect(all[2]?.findings[0]).toMatchObject({ path: 'data.text', text: 'data.text: too short' });
    expect(ends(all[0]!.request!)).toEqual({ from: '1', to: '2030' });
  });

  it('are told by their shape', () => {
    const { request } = detail(finished(), 17);
    expect(shape(request!)).toBe('form body, kazoo format');
    expect(shape({ method: 'GET', url: 'http://x.test/?CallSid=CA1', headers: [], body: '' })).toBe('query, twiml format');
    expect(rawRequest(request!)).toMatch(/^POST \/order\.php HTTP\/1\.1\nhost: app\.example\.com\n/);
    expect(difference(212, 188)).toBe('24 ms faster');
    expect(difference(null, 188)).toBe('');
    expect(new Date(micros(63_930_854_527) / 1000).getUTCFullYear()).toBe(2025);
  });
});
