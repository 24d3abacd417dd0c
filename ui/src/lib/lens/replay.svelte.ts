// Sending a recorded request again. It never touches a call.

import { ask } from '../api';
import type { Replayed } from './types';

const AGREED = 'swivel.replay';

export class Replay {
  result = $state.raw<Replayed | null>(null);
  error = $state.raw<unknown>(null);
  busy = $state(false);
  /** A POST waits for a yes, once a session. */
  asking = $state(false);
  /** Unix milliseconds. */
  at = $state(0);
  edited = $state(false);
  private waiting: { url?: string; body?: string } = {};
  private run = 0;

  constructor(readonly call: string, readonly exchange: number) {}

  /** `change` sends something else than what was recorded. */
  start(method: string, change: { url?: string; body?: string } = {}): void {
    this.waiting = change;
    if (method.toUpperCase() !== 'GET' && sessionStorage.getItem(AGREED) !== 'yes') {
      this.asking = true;
      return;
    }
    void this.send();
  }

  agree(): void {
    sessionStorage.setItem(AGREED, 'yes');
    void this.send();
  }

  close(): void {
    this.run++;
    this.asking = false;
    this.busy = false;
    this.result = null;
    this.error = null;
  }

  private async send(): Promise<void> {
    const run = ++this.run;
    const change = this.waiting;
    this.asking = false;
    this.busy = true;
    this.error = null;
    try {
      const path = `{account}/pivot/debug/${encodeURIComponent(this.call)}/${this.exchange}/replay`;
      const { data } = await ask<Replayed>(path, { method: 'POST', data: change });
      if (run !== this.run) return;
      this.result = { ...data, changes: data.changes ?? [], during: data.during ?? null, response: data.response ?? null, timing: data.timing ?? null, error: data.error ?? null };
      this.edited = change.url !== undefined || change.body !== undefined;
      this.at = Date.now();
    } catch (error) {
      if (run === this.run) this.error = error;
    } finally {
      if (run === this.run) this.busy = false;
    }
  }
}
