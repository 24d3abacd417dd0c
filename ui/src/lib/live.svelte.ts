// One socket for all live views: KAZOO's subscription protocol on `/v2/websocket`.

import { session } from './session.svelte';

type Listener = (data: unknown, name: string) => void;

interface Subscription {
  binding: string;
  listener: Listener;
  /** Called when the socket is back: ask anew for what was missed. */
  back?: () => void;
}

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 15_000;

let socket: WebSocket | null = null;
let pause = FIRST_PAUSE_MS;
let timer: ReturnType<typeof setTimeout> | undefined;
const subscriptions = new Set<Subscription>();
let state = $state<{ up: boolean; lostAt: number | null; nextTry: number | null }>({ up: false, lostAt: null, nextTry: null });

export const connection = {
  get up(): boolean {
    return state.up;
  },
  /** Unix milliseconds. */
  get lostAt(): number | null {
    return state.lostAt;
  },
  get nextTry(): number | null {
    return state.nextTry;
  },
  tryNow(): void {
    clearTimeout(timer);
    open();
  },
};

/** Hears events of `binding` until the returned function is called. */
export function subscribe(binding: string, listener: Listener, back?: () => void): () => void {
  const subscription = { binding, listener, back };
  const known = [...subscriptions].some((other) => other.binding === binding);
  subscriptions.add(subscription);
  if (socket?.readyState === WebSocket.OPEN) {
    if (!known) send('subscribe', binding);
  } else if (!socket) open();
  return () => {
    subscriptions.delete(subscription);
    if ([...subscriptions].some((other) => other.binding === binding)) return;
    if (socket?.readyState === WebSocket.OPEN) send('unsubscribe', binding);
    if (subscriptions.size === 0) close();
  };
}

/** Says the present token for everything that is listened to: subscriptions end with the token they were made with. */
export function renewSubscriptions(): void {
  if (socket?.readyState !== WebSocket.OPEN) return;
  for (const binding of new Set([...subscriptions].map((each) => each.binding))) send('subscribe', binding);
}

function send(action: string, binding: string): void {
  socket?.send(JSON.stringify({ action, auth_token: session.now?.token, data: { account_id: session.now?.account, binding } }));
}

function close(): void {
  clearTimeout(timer);
  const old = socket;
  socket = null;
  old?.close();
  state = { up: false, lostAt: null, nextTry: null };
}

function open(): void {
  if (!session.now) return;
  const address = new URL('/v2/websocket', location.href);
  address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  const mine = new WebSocket(address);
  socket = mine;
  mine.onopen = () => {
    const again = state.lostAt !== null;
    pause = FIRST_PAUSE_MS;
    state = { up: true, lostAt: null, nextTry: null };
    for (const binding of new Set([...subscriptions].map((each) => each.binding))) send('subscribe', binding);
    if (again) for (const each of subscriptions) each.back?.();
  };
  mine.onmessage = (event) => {
    let told: { action?: string; name?: string; subscribed_key?: string; data?: unknown };
    try {
      told = JSON.parse(String(event.data)) as typeof told;
    } catch {
      return;
    }
    if (told.action !== 'event') return;
    for (const each of [...subscriptions]) {
      if (each.binding === told.subscribed_key) each.listener(told.data, told.name ?? '');
    }
  };
  mine.onclose = () => {
    if (socket !== mine) return;
    state = { up: false, lostAt: state.lostAt ?? Date.now(), nextTry: Date.now() + pause };
    timer = setTimeout(open, pause);
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  };
}
