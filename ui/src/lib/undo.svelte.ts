// Deletions that can still be undone. What is deleted is gone from every list at once; the server is told after ten
// seconds, or when the page is left.

import { ApiError, raw } from './api';

const SECONDS = 10;

interface Gone {
  /** As the API knows it: `devices/1234`. */
  path: string;
  what: string;
  revision: string | null;
  timer: ReturnType<typeof setTimeout>;
  done: () => void;
}

let gone = $state.raw<Gone[]>([]);
let failed = $state.raw<{ what: string; why: string } | null>(null);

export const undo = {
  get list(): { path: string; what: string }[] {
    return gone;
  },
  get failed(): { what: string; why: string } | null {
    return failed;
  },
  has(path: string): boolean {
    return gone.some((each) => each.path === path);
  },
  /** Deletes, unless it is taken back in time. `done` is called when the server has deleted it, or refused. */
  remove(path: string, what: string, revision: string | null, done: () => void = () => {}): void {
    failed = null;
    const timer = setTimeout(() => void send(path, false), SECONDS * 1000);
    gone = [...gone, { path, what, revision, timer, done }];
  },
  takeBack(path: string): void {
    const found = gone.find((each) => each.path === path);
    if (found) clearTimeout(found.timer);
    gone = gone.filter((each) => each.path !== path);
  },
  /** Tells the server now. */
  now(path: string): Promise<void> {
    return send(path, false);
  },
  forget(): void {
    failed = null;
  },
};

async function send(path: string, leaving: boolean): Promise<void> {
  const found = gone.find((each) => each.path === path);
  if (!found) return;
  clearTimeout(found.timer);
  try {
    const response = await raw(`{account}/${path}`, { method: 'DELETE', headers: found.revision ? { 'if-match': `"${found.revision}"` } : {}, keepalive: leaving });
    if (!response.ok && response.status !== 404) {
      const why = response.status === 412 ? 'Somebody has changed it meanwhile.' : `swivel answered ${response.status}, request ${response.headers.get('x-request-id') ?? ''}.`;
      failed = { what: found.what, why };
    }
  } catch (error) {
    failed = { what: found.what, why: error instanceof ApiError ? error.message : String(error) };
  }
  gone = gone.filter((each) => each.path !== path);
  found.done();
}

if (typeof addEventListener === 'function') {
  addEventListener('pagehide', () => {
    for (const each of gone) void send(each.path, true);
  });
}
