// The telephone of this tab. It lives as long as the tab, whatever page is shown; JsSIP is loaded when it is first wanted.

import type { RTCSession } from 'jssip/lib/RTCSession';
import type { UA } from 'jssip/lib/UA';
import { ApiError, ask, get } from './api';
import { session } from './session.svelte';

/** Who does not let the page hear a microphone. */
export type Refusal = 'address' | 'browser' | 'system' | 'none';

export interface Line {
  callId: string;
  number: string;
  name: string;
  incoming: boolean;
  /** Unix milliseconds. */
  answered: number | null;
  muted: boolean;
  held: boolean;
  keys: string;
  codec: string;
  roundTripMs: number | null;
  lossIn: number | null;
  lossOut: number | null;
  /** 0…1 */
  you: number;
  far: number;
}

export type Stage = 'off' | 'starting' | 'ready' | 'calling' | 'ringing' | 'talking' | 'no-microphone' | 'failed';

interface Own {
  id: string;
  username: string;
  password: string;
  realm: string;
  seconds: number;
}

interface Media {
  stream: MediaStream;
  label: string;
  end: () => void;
}

const state = $state<{
  stage: Stage;
  line: Line | null;
  said: string;
  refusal: Refusal | null;
  wanted: string;
  silent: boolean;
  username: string;
  device: string;
  microphone: string;
  recent: string[];
}>({
  stage: 'off',
  line: null,
  said: '',
  refusal: null,
  wanted: '',
  silent: false,
  username: '',
  device: '',
  microphone: '',
  recent: [],
});

/** New credentials are asked for at most so often: who keeps coming with wrong ones is shut out. */
const RENEW_MS = 60_000;

let agent: UA | null = null;
let own: Own | null = null;
let keeper: ReturnType<typeof setInterval> | undefined;
let meter: ReturnType<typeof setInterval> | undefined;
let call: RTCSession | null = null;
let media: Media | null = null;
let ear: HTMLAudioElement | null = null;
let settling: ReturnType<typeof setTimeout> | undefined;

export const phone = {
  get stage(): Stage {
    return state.stage;
  },
  get line(): Line | null {
    return state.line;
  },
  /** What happened last, in words. */
  get said(): string {
    return state.said;
  },
  get refusal(): Refusal | null {
    return state.refusal;
  },
  /** The number that was wanted when the microphone was refused. */
  get wanted(): string {
    return state.wanted;
  },
  /** Its SIP user name: rows of this tab's own calls are known by it. */
  get username(): string {
    return state.username;
  },
  get device(): string {
    return state.device;
  },
  get microphone(): string {
    return state.microphone;
  },
  get silent(): boolean {
    return state.silent;
  },
  get recent(): string[] {
    return state.recent;
  },
  start,
  stop,
  dial,
  answer,
  hangUp,
  press,
  mute,
  hold,
  transfer,
  /** Calls without a microphone from now on: keys and the far end's sound work. */
  listenOnly(): void {
    state.silent = true;
    state.refusal = null;
    state.stage = 'ready';
    if (state.wanted) void dial(state.wanted);
  },
  /** The microphone again, from the next call on. */
  speak(): void {
    state.silent = false;
    state.microphone = '';
  },
  /** Back from a refusal to the dial pad. */
  back(): void {
    state.refusal = null;
    state.stage = agent?.isRegistered() ? 'ready' : 'off';
    if (state.stage === 'off') void start();
  },
};

/** Gets credentials for this tab and registers. Asking twice changes nothing. */
async function start(): Promise<void> {
  if (state.stage !== 'off' && state.stage !== 'failed') return;
  state.stage = 'starting';
  try {
    const [{ default: JsSIP }, lent] = await Promise.all([import('jssip'), ask<Own>('{account}/browser_phones', { method: 'PUT', data: {} })]);
    JsSIP.debug.disable();
    own = lent.data;
    state.username = own.username;
    state.device = own.id;
    const address = new URL('/sip', location.href);
    address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    agent = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(address.href)],
      uri: `sip:${own.username}@${own.realm}`,
      password: own.password,
      register: true,
      register_expires: 300,
      user_agent: 'swivel page',
      connection_recovery_max_interval: 15,
    });
    listen(agent);
    agent.start();
    clearInterval(keeper);
    keeper = setInterval(keep, (own.seconds * 1000) / 4);
  } catch (error) {
    state.stage = 'failed';
    state.said = error instanceof ApiError ? error.message : 'The telephone could not be loaded. Load the page again.';
  }
}

function listen(on: UA): void {
  on.on('registered', () => {
    if (state.stage === 'starting' || state.stage === 'failed') {
      state.stage = 'ready';
      state.said = '';
    }
  });
  on.on('registrationFailed', (event) => {
    if (call || on !== agent) return;
    if (Date.now() - renewed > RENEW_MS) {
      void renew();
      return;
    }
    state.stage = 'failed';
    state.said = `swivel did not let this telephone in: ${event.cause ?? 'no reason given'}.`;
  });
  on.on('disconnected', () => {
    if (call || on !== agent || state.stage === 'off') return;
    state.stage = 'starting';
  });
  on.on('newRTCSession', (event: { originator: string; session: RTCSession; request: { call_id: string; from: { display_name?: string; uri: { user: string } } } }) => {
    if (event.originator !== 'remote') return;
    if (call) {
      event.session.terminate({ status_code: 486 });
      return;
    }
    const { display_name: name, uri } = event.request.from;
    state.line = line(event.request.call_id, uri.user, name ?? '', true);
    state.stage = 'ringing';
    follow(event.session);
  });
}

/** The tab is still there; a server that was restarted knows it no more. */
async function keep(): Promise<void> {
  if (!own) return;
  try {
    await ask(`{account}/browser_phones/${own.id}`, { method: 'POST', data: {} });
  } catch (error) {
    if (error instanceof ApiError && error.status === 404 && !call) await renew();
  }
}

/** Unregisters, and then gives the credentials back: the other way round they would be wrong ones. */
async function stop(): Promise<void> {
  const [leaving, lent] = [agent, own];
  clearInterval(keeper);
  call?.terminate();
  agent = null;
  own = null;
  state.username = '';
  state.device = '';
  state.stage = 'off';
  if (leaving?.isRegistered()) {
    await new Promise((done) => {
      leaving.on('unregistered', done);
      setTimeout(done, 1500);
      leaving.stop();
    });
  } else leaving?.stop();
  if (lent && session.now) await ask(`{account}/browser_phones/${lent.id}`, { method: 'DELETE' }).catch(() => undefined);
}

let renewed = 0;

/** Other credentials for ones that are no good any more: after a long sleep, or a restart of the server. */
async function renew(): Promise<void> {
  renewed = Date.now();
  const old = agent;
  clearInterval(keeper);
  agent = null;
  own = null;
  old?.removeAllListeners();
  old?.stop();
  state.stage = 'off';
  await start();
}

function line(callId: string, number: string, name: string, incoming: boolean): Line {
  return {
    callId, number, name, incoming,
    answered: null, muted: false, held: false, keys: '', codec: '', roundTripMs: null, lossIn: null, lossOut: null, you: 0, far: 0,
  };
}

async function dial(number: string): Promise<void> {
  const wanted = number.trim();
  if (!wanted || call || state.stage === 'calling') return;
  if (!agent) await start();
  if (!agent || !own) return;
  state.wanted = wanted;
  state.stage = 'calling';
  state.said = '';
  state.line = line('', wanted, await nameOf(wanted), false);
  if (!(await listenToMicrophone()) || !media) return;
  state.recent = [wanted, ...state.recent.filter((one) => one !== wanted)].slice(0, 4);
  // Letters are names of phones, as a SIP address may have them.
  const target = `sip:${encodeURIComponent(wanted).replaceAll('%2B', '+').replaceAll('%23', '#')}@${own.realm}`;
  const placed = agent.call(target, { mediaStream: media.stream, eventHandlers: {}, pcConfig: { iceServers: [] } });
  placed.on('sending', (event: { request: { call_id: string } }) => {
    if (state.line) state.line.callId = event.request.call_id;
  });
  follow(placed);
}

async function answer(): Promise<void> {
  if (!call || !state.line?.incoming) return;
  if (!(await listenToMicrophone()) || !media) return;
  call.answer({ mediaStream: media.stream, pcConfig: { iceServers: [] } });
}

/** What the account calls a number. */
async function nameOf(number: string): Promise<string> {
  try {
    const flows = await get<{ name?: string; numbers?: string[] }[]>('{account}/callflows', { paginate: false });
    return flows.find((flow) => flow.numbers?.includes(number))?.name ?? '';
  } catch {
    return '';
  }
}

function follow(one: RTCSession): void {
  call = one;
  one.on('icecandidate', soon());
  one.on('peerconnection', () => hear(one));
  if (one.connection) hear(one);
  one.on('confirmed', () => {
    state.stage = 'talking';
    if (state.line) state.line.answered ??= Date.now();
    meter = setInterval(() => void measure(one), 500);
  });
  one.on('hold', () => state.line && (state.line.held = true));
  one.on('unhold', () => state.line && (state.line.held = false));
  one.on('ended', (event) => over(one, event.originator === 'local' ? 'You hung up.' : 'The other side hung up.'));
  one.on('failed', (event) => over(one, failure(event.cause, event.message as { status_code?: number; reason_phrase?: string } | null)));
}

/** Browsers may look for addresses for many seconds; the first ones do. */
function soon(): (event: { ready: () => void }) => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return ({ ready }) => {
    clearTimeout(timer);
    timer = setTimeout(ready, 250);
  };
}

function hear(one: RTCSession): void {
  one.connection.addEventListener('track', (event) => {
    ear ??= document.body.appendChild(document.createElement('audio'));
    ear.srcObject = event.streams[0] ?? new MediaStream([event.track]);
    ear.play().catch(() => (state.said = 'The browser does not play sound yet: press any key of the pad.'));
  });
}

function failure(cause: string | undefined, message: { status_code?: number; reason_phrase?: string } | null): string {
  const status = message?.status_code;
  const words: Record<string, string> = {
    Busy: 'Busy.',
    Rejected: 'Refused.',
    Canceled: 'Ended before it was answered.',
    'Not Found': 'No callflow has this number.',
    Unavailable: 'Nobody answered.',
    'No Answer': 'Nobody answered.',
    'User Denied Media Access': 'The microphone was refused.',
    'Incompatible SDP': 'No common codec.',
    'Connection Error': 'swivel cannot be reached.',
  };
  const said = words[cause ?? ''] ?? `${cause ?? 'The call failed'}.`;
  return status && status >= 300 ? `${said} swivel answered ${status} ${message?.reason_phrase ?? ''}.` : said;
}

function over(one: RTCSession, said: string): void {
  if (call !== one) return;
  call = null;
  clearInterval(meter);
  media?.end();
  media = null;
  if (ear) ear.srcObject = null;
  state.line = null;
  state.said = said;
  state.stage = agent?.isRegistered() ? 'ready' : 'starting';
}

function hangUp(): void {
  if (call) call.terminate();
  else if (state.stage === 'calling') {
    state.line = null;
    state.stage = 'ready';
  }
}

/** Sends a key; ears of browsers open with the first click, too. */
function press(key: string): void {
  if (!call || !state.line || !/^[0-9*#A-D]$/.test(key)) return;
  state.line.keys = (state.line.keys + key).slice(-16);
  if (ear?.paused) ear.play().catch(() => undefined);
  call.sendDTMF(key, { transportType: 'RFC2833', duration: 160, interToneGap: 70 } as never);
}

function mute(): void {
  if (!call || !state.line) return;
  if (state.line.muted) call.unmute({ audio: true });
  else call.mute({ audio: true });
  state.line.muted = !state.line.muted;
}

function hold(): void {
  if (!call || !state.line) return;
  settle(call, !state.line.held);
}

/** While an offer is under way no other may be made (RFC 3261 §14.1): what was pressed meanwhile is done after it. */
function settle(one: RTCSession, held: boolean): void {
  clearTimeout(settling);
  if (call !== one || one.isOnHold().local === held) return;
  const done = held ? one.hold() : one.unhold();
  if (!done) settling = setTimeout(() => settle(one, held), 100);
}

/** Hands the other side to `number` and leaves. */
function transfer(number: string): void {
  const one = call;
  const to = number.trim();
  if (!one || !own || !to) return;
  state.said = `Transferring to ${to}…`;
  one.refer(`sip:${encodeURIComponent(to)}@${own.realm}`, {
    eventHandlers: {
      accepted: () => {
        state.said = `Transferred to ${to}.`;
        one.terminate();
      },
      requestFailed: () => (state.said = `swivel refused the transfer to ${to}.`),
      failed: () => (state.said = `${to} did not answer: you are still connected.`),
    },
  });
}

/** Whether there is something to send. Says why when there is not. */
async function listenToMicrophone(): Promise<boolean> {
  if (media) return true;
  if (state.silent) {
    media = silence();
    return true;
  }
  try {
    if (!navigator.mediaDevices) throw new DOMException('', 'InsecureContext');
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true } });
    const label = stream.getAudioTracks()[0]?.label ?? '';
    media = { stream, label, end: () => stream.getTracks().forEach((track) => track.stop()) };
    state.microphone = label.replace(/^Default - /, '');
    return true;
  } catch (error) {
    state.refusal = refusal(error);
    state.line = state.line?.incoming ? state.line : null;
    state.stage = 'no-microphone';
    return false;
  }
}

export function refusal(error: unknown): Refusal {
  const name = error instanceof DOMException ? error.name : '';
  const text = error instanceof Error ? error.message : '';
  if (name === 'InsecureContext') return 'address';
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return 'none';
  if (name === 'NotReadableError' || /system/i.test(text)) return 'system';
  return 'browser';
}

/** A track that says nothing: with it keys can be sent. */
function silence(): Media {
  const context = new AudioContext();
  const to = context.createMediaStreamDestination();
  // Without a source nothing is sent at all, no key either, and swivel would take the call for dead.
  const nothing = context.createConstantSource();
  nothing.offset.value = 0;
  nothing.connect(to);
  nothing.start();
  void context.resume();
  const { stream } = to;
  state.microphone = 'none, listening only';
  return { stream, label: '', end: () => void context.close() };
}

async function measure(one: RTCSession): Promise<void> {
  if (document.hidden || !one.connection || !state.line) return;
  const reports = await one.connection.getStats();
  const at = state.line;
  if (!at) return;
  let codecId = '';
  for (const report of reports.values() as Iterable<Record<string, unknown>>) {
    const number = (key: string) => (typeof report[key] === 'number' ? (report[key] as number) : null);
    if (report.type === 'media-source') at.you = level(number('audioLevel'));
    if (report.type === 'inbound-rtp') {
      at.far = level(number('audioLevel'));
      const [lost, got] = [number('packetsLost') ?? 0, number('packetsReceived') ?? 0];
      at.lossIn = got > 0 ? (100 * Math.max(0, lost)) / (got + Math.max(0, lost)) : null;
      codecId = String(report.codecId ?? '');
    }
    if (report.type === 'remote-inbound-rtp') {
      at.roundTripMs = (number('roundTripTime') ?? 0) * 1000 || at.roundTripMs;
      at.lossOut = 100 * (number('fractionLost') ?? 0);
    }
    if (report.type === 'candidate-pair' && report.nominated && number('currentRoundTripTime') !== null) {
      at.roundTripMs = (number('currentRoundTripTime') ?? 0) * 1000;
    }
  }
  const codec = reports.get(codecId) as { mimeType?: string; clockRate?: number } | undefined;
  if (codec?.mimeType) {
    const name = codec.mimeType.split('/')[1] ?? '';
    at.codec = `${name.toLowerCase() === 'opus' ? 'Opus' : name} ${(codec.clockRate ?? 0) / 1000} kHz`;
  }
}

/** Loudness as ears have it: −50 dB is nothing. */
function level(linear: number | null): number {
  if (!linear) return 0;
  return Math.min(1, Math.max(0, 1 + (20 * Math.log10(linear)) / 50));
}

// A tab that closes needs its telephone no more.
addEventListener('pagehide', () => {
  if (own && session.now) {
    void fetch(`/v2/accounts/${session.now.account}/browser_phones/${own.id}`, { method: 'DELETE', keepalive: true, headers: { 'x-auth-token': session.now.token } });
  }
});
