import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { keepDraft, readDraft } from './draft';
import { session } from './session.svelte';
import { undo } from './undo.svelte';

const asked: [string, RequestInit | undefined][] = [];
let status = 200;

beforeEach(() => {
  vi.useFakeTimers();
  asked.length = 0;
  status = 200;
  vi.stubGlobal('fetch', (url: string, how?: RequestInit) => {
    asked.push([url, how]);
    return Promise.resolve(new Response('{}', { status }));
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('deletes after ten seconds, on the revision that was seen', async () => {
  const done = vi.fn();
  undo.remove('devices/a', 'Front desk', '2-b', done);
  expect(undo.has('devices/a')).toBe(true);
  await vi.advanceTimersByTimeAsync(9_900);
  expect(asked).toEqual([]);
  await vi.advanceTimersByTimeAsync(200);
  expect(asked[0]?.[0]).toContain('/devices/a');
  expect(asked[0]?.[1]).toMatchObject({ method: 'DELETE', headers: { 'if-match': '"2-b"' } });
  expect(done).toHaveBeenCalledOnce();
  expect(undo.has('devices/a')).toBe(false);
});

it('deletes nothing that is taken back', async () => {
  undo.remove('devices/a', 'Front desk', null);
  undo.takeBack('devices/a');
  await vi.advanceTimersByTimeAsync(20_000);
  expect(asked).toEqual([]);
});

it('deletes at once when the page is left', async () => {
  undo.remove('devices/a', 'Front desk', null);
  dispatchEvent(new Event('pagehide'));
  await vi.advanceTimersByTimeAsync(0);
  expect(asked[0]?.[1]).toMatchObject({ method: 'DELETE', keepalive: true });
});

it('says what was not deleted, and why', async () => {
  status = 412;
  undo.remove('devices/a', 'Front desk', '1-a');
  await vi.advanceTimersByTimeAsync(10_000);
  expect(undo.failed).toEqual({ what: 'Front desk', why: 'Somebody has changed it meanwhile.' });
  undo.forget();
  expect(undo.failed).toBeNull();
});

it('keeps drafts by account, and forgets them when they are saved', () => {
  session.set({ token: 't', account: 'one' } as never);
  keepDraft('flows', 'a', { text: 'x', revision: '1', at: 5 });
  expect(readDraft('flows', 'a')?.text).toBe('x');
  session.set({ token: 't', account: 'two' } as never);
  expect(readDraft('flows', 'a')).toBeNull();
  session.set({ token: 't', account: 'one' } as never);
  keepDraft('flows', 'a', null);
  expect(readDraft('flows', 'a')).toBeNull();
});
