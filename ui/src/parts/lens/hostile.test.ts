import { readFileSync } from 'node:fs';
import { flushSync, mount, tick, unmount } from 'svelte';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { detail, failed, finished, peaks } from '../../lib/lens/call.fixture';
import type { Lens } from '../../lib/lens/types';
import { session } from '../../lib/session.svelte';

// Everything a caller or a web server says may be markup that means harm. It must arrive as text.

const HOSTILE = JSON.parse(readFileSync('../tests/live/browser/page/hostile.json', 'utf8')) as string[];
const TOKENS = new Set(['p0', 'p1', 'p2', 'p3', 'sip', 'hook', 'flow', 'audio', 'key', 'quality', 'note', 'warn', 'err', 'req', 'r1', 'r2', 'r3', 'r4', 'r5', 'live', 'ended', 'completed', 'failed', 'refused', 'running', 'caller', 'swivel', 'web', 'callee', 'speech', 'ringback', 'bridge']);

/** The same, with every free text made hostile. */
function poisoned<T>(value: T, bad: () => string): T {
  if (typeof value === 'string') return (TOKENS.has(value) ? value : bad()) as T;
  if (Array.isArray(value)) return value.map((each: unknown) => poisoned(each, bad)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, poisoned(each, bad)])) as T;
}

function inTurn(): () => string {
  let at = 0;
  return () => HOSTILE[at++ % HOSTILE.length] as string;
}

beforeAll(() => {
  Object.assign(globalThis, {
    ResizeObserver: class { observe() {} unobserve() {} disconnect() {} },
    IntersectionObserver: class { constructor(private readonly seen: (entries: unknown[]) => void) {} observe(target: unknown) { queueMicrotask(() => this.seen([{ isIntersecting: true, target }])); } unobserve() {} disconnect() {} },
    WebSocket: Object.assign(class { readyState = 0; send() {} close() {} }, { OPEN: 1 }),
    matchMedia: () => ({ matches: false, addEventListener() {}, removeEventListener() {} }),
  });
  HTMLCanvasElement.prototype.getContext = () => null;
  Range.prototype.getClientRects = () => [] as unknown as DOMRectList;
  Range.prototype.getBoundingClientRect = () => new DOMRect();
});

let answers: (path: string) => unknown = () => null;
beforeEach(() => {
  session.set({ token: 't', account: 'a', accountName: 'demo', user: 'ada', userId: 'u', since: 0 });
  vi.stubGlobal('fetch', (url: string) => {
    const found = answers(decodeURIComponent(String(url).split('?')[0] ?? ''));
    return Promise.resolve(new Response(JSON.stringify(found === null ? { message: 'not found' } : { data: found }), { status: found === null ? 404 : 200 }));
  });
});
afterEach(() => {
  session.set(null);
  document.body.replaceChildren();
});

/** Every element, those in shadow roots too. */
function everything(root: ParentNode): Element[] {
  return [...root.querySelectorAll('*')].flatMap((element) => [element, ...(element.shadowRoot ? everything(element.shadowRoot) : [])]);
}

function assertHarmless(root: ParentNode): void {
  const all = everything(root);
  const own = new Set(['script', 'img', 'iframe', 'object', 'embed', 'link', 'meta', 'base', 'marquee', 'video', 'audio', 'template', 'noscript', 'math', 'animate', 'form', 'slot', 'details']);
  expect(all.filter((element) => own.has(element.localName)).map((element) => element.outerHTML)).toEqual([]);
  for (const element of all) {
    for (const { name, value } of element.attributes) {
      expect(name.startsWith('on'), `${element.localName} ${name}=${value}`).toBe(false);
      if (['href', 'src', 'action', 'data'].includes(name)) expect(value, element.outerHTML).toMatch(/^\/(?!\/)/);
    }
  }
  expect((globalThis as { __ran?: number }).__ran).toBeUndefined();
}

async function settle(): Promise<void> {
  for (let round = 0; round < 30; round++) {
    await new Promise((done) => setTimeout(done, 5));
    await tick();
    flushSync();
  }
}

function textOf(root: ParentNode): string {
  return everything(root).flatMap((element) => [element.textContent ?? '']).join('\n');
}

describe('hostile strings', () => {
  it('are sixty', () => expect(new Set(HOSTILE).size).toBe(60));

  it.each([['finished', finished], ['failed', failed]] as const)('stay text in a %s call, whichever event is read', async (_, make) => {
    const lens: Lens = poisoned(make(), inTurn());
    answers = (path) => {
      const n = /\/events\/(\d+)$/.exec(path)?.[1];
      if (n) return poisoned(detail(make(), Number(n)), inTurn());
      return path.endsWith('/peaks') ? peaks() : lens;
    };
    const { default: View } = await import('./View.svelte');
    const page = mount(View, { target: document.body, props: { id: HOSTILE[0] as string } });
    await settle();
    expect(textOf(document.body)).toContain(lens.events[0]?.title);
    expect(textOf(document.body)).toContain(lens.from);
    const kinds = new Set<string>();
    for (const event of lens.events) {
      const key = event.kind + (event.pair ? 'answer' : '');
      if (kinds.has(key)) continue;
      kinds.add(key);
      document.querySelector<HTMLElement>(`[data-n="${event.n}"]`)?.click();
      await settle();
      for (const tab of document.querySelectorAll<HTMLElement>('.drawer [role=tab]')) {
        tab.click();
        await settle();
        assertHarmless(document.body);
      }
    }
    expect(kinds.size).toBeGreaterThanOrEqual(4);
    await unmount(page);
  }, 60_000);

  it('stay text in Live Debug', async () => {
    const lens = poisoned(finished(), inTurn());
    answers = (path) => {
      const n = /\/events\/(\d+)$/.exec(path)?.[1];
      if (n) return poisoned(detail(finished(), Number(n)), inTurn());
      if (path.endsWith('/pivot/debug')) return HOSTILE.map((bad) => ({ call_id: bad, debug_id: bad, created: 63_962_518_220, iteration: 1, uri: `http://x.test/${bad}?From=${encodeURIComponent(bad)}&Request=${encodeURIComponent(bad)}`, method: bad, status_code: '200' }));
      return path.includes('/lens/') ? lens : null;
    };
    history.replaceState(null, '', `/debug/${encodeURIComponent(HOSTILE[4] as string)}/2`);
    dispatchEvent(new PopStateEvent('popstate'));
    const { default: Debug } = await import('../../pages/Debug.svelte');
    const page = mount(Debug, { target: document.body, props: {} });
    await settle();
    expect(document.querySelectorAll('.list li').length).toBe(60);
    for (const tab of document.querySelectorAll<HTMLElement>('[role=tab]')) {
      tab.click();
      await settle();
      assertHarmless(document.body);
    }
    assertHarmless(document.body);
    await unmount(page);
  }, 60_000);

  it('stay text in CodeMirror, findings included', async () => {
    const { edit } = await import('../../lib/code/show');
    const { compare } = await import('../../lib/code/compare');
    for (const language of ['json', 'xml', 'sip', 'sdp', 'text'] as const) {
      const host = document.body.appendChild(document.createElement('div'));
      const editor = edit(host, { text: HOSTILE.join('\n'), language, label: HOSTILE[0] as string, numbers: true, notes: HOSTILE.slice(0, 9).map((text, at) => ({ line: at + 1, severity: 'err', text, fix: text })) });
      expect(host.shadowRoot?.textContent).toContain(HOSTILE[1]);
      assertHarmless(document.body);
      editor.destroy();
      const pair = document.body.appendChild(document.createElement('div'));
      const compared = compare(pair, HOSTILE.join('\n'), [...HOSTILE].reverse().join('\n'), language, [HOSTILE[0] as string, HOSTILE[2] as string]);
      assertHarmless(document.body);
      compared.destroy();
    }
  });

  it('are never a link: what to do leads to a page of swivel or nowhere', async () => {
    const { default: CauseBlock } = await import('./CauseBlock.svelte');
    for (const link of [...HOSTILE, '//evil.test/x', 'https://evil.test']) {
      const lens = failed();
      const block = mount(CauseBlock, { target: document.body, props: { cause: { ...lens.cause!, link }, event: null, replay: null, onevent: () => undefined } });
      flushSync();
      assertHarmless(document.body);
      await unmount(block);
    }
  });
});
