// Calls as the server tells them, for tests and for looking at the page without a server.

import { completeLens, type Detail, type Lens, type LensEvent, type Party } from './types';

const BEGIN = Date.UTC(2026, 10, 21, 10, 42, 7, 318) * 1000;
const CALLER = '7f3a91c2-4b1e@198.51.100.7';
const DESK = 'b1f0c6d2@203.0.113.9';

const PARTIES: Party[] = [
  { id: 'p0', kind: 'caller', name: 'Caller', detail: '+1 555 201 4477' },
  { id: 'p1', kind: 'swivel', name: 'swivel', detail: '203.0.113.9:5060' },
  { id: 'p2', kind: 'web', name: 'Web server', detail: 'app.example.com' },
  { id: 'p3', kind: 'callee', name: 'Front desk', detail: 'phone 2104' },
];

type Line = [kind: string, t: number, from: number, to: number, title: string, detail?: string, more?: Partial<LensEvent>];

function events(lines: Line[]): LensEvent[] {
  const kinds: Record<string, LensEvent['kind']> = { req: 'sip', r1: 'sip', r2: 'sip', r4: 'sip', hook: 'hook', audio: 'audio', key: 'key', flow: 'flow', quality: 'quality' };
  return lines.map(([kind, t, from, to, title, detail, more], index) => ({
    n: index + 1, t, at: BEGIN + Math.round(t * 1e6), kind: kinds[kind] ?? 'note',
    from: kinds[kind] === 'sip' || kind === 'hook' ? `p${from}` : null,
    to: kinds[kind] === 'sip' || kind === 'hook' ? `p${to}` : null,
    party: kinds[kind] === 'sip' || kind === 'hook' ? null : kind === 'audio' ? `p${to}` : `p${from}`,
    title, detail: detail ?? '', severity: null, repeat: 1, also: [], took_ms: null, pair: null, findings: [],
    class: kinds[kind] === 'sip' ? (kind as LensEvent['class']) : null,
    call_id: kind === 'hook' || kind === 'flow' ? null : from === 3 || to === 3 ? DESK : CALLER, exchange: null, ...more,
  }));
}

const LANGUAGE = { severity: 'warn' as const, text: 'Unknown key langauge in tts.data. Ignored.', fix: 'Did you mean language?', line: 4, column: 5, path: 'data.langauge' };

const DONE = events([
  ['req', 0, 0, 1, 'INVITE 2030', 'SDP PCMU PCMA'],
  ['r1', 0.002, 1, 0, '100 Trying'],
  ['flow', 0.004, 1, 1, 'pivot', 'asks app.example.com'],
  ['hook', 0.006, 1, 2, 'GET /voice.php', '13 parameters', { exchange: 1 }],
  ['hook', 0.09, 2, 1, '200 JSON', '84 ms', { exchange: 1, pair: 4, took_ms: 84 }],
  ['flow', 0.091, 1, 1, 'tts'],
  ['r2', 0.094, 1, 0, '200 OK', 'answered, PCMU'],
  ['req', 0.131, 0, 1, 'ACK'],
  ['audio', 0.149, 1, 0, '“Pivot is pretty awesome. Have a great day.”', '3.26 s'],
  ['flow', 3.41, 1, 1, 'collect_dtmf', 'up to 4 keys, 5 s'],
  ['key', 4.62, 0, 1, '4'],
  ['key', 5.08, 0, 1, '7'],
  ['key', 5.61, 0, 1, '1'],
  ['key', 5.97, 0, 1, '1'],
  ['flow', 5.98, 1, 1, 'pivot', 'asks app.example.com'],
  ['hook', 5.981, 1, 2, 'POST /order.php', 'Digits 4711', { exchange: 2 }],
  ['hook', 6.193, 2, 1, '200 JSON', '212 ms, 1 finding', { exchange: 2, pair: 16, took_ms: 212, severity: 'warn', findings: [LANGUAGE] }],
  ['flow', 6.194, 1, 1, 'tts'],
  ['audio', 6.21, 1, 0, '“Thank you. Your order leaves today…”', 'cut at 1.84 s'],
  ['key', 8.02, 0, 1, '#', 'barge-in, prompt silent after 31 ms'],
  ['flow', 8.052, 1, 1, 'device', 'Front desk'],
  ['req', 8.055, 1, 3, 'INVITE 2104', 'SDP PCMU G722', { repeat: 2, also: [8.064] }],
  ['r1', 8.067, 3, 1, '100 Trying'],
  ['r1', 8.14, 3, 1, '180 Ringing'],
  ['audio', 8.15, 1, 0, 'Ringback tone', '4.26 s'],
  ['r2', 12.41, 3, 1, '200 OK', 'answered, PCMU'],
  ['req', 12.413, 1, 3, 'ACK'],
  ['audio', 12.42, 1, 1, 'Caller ⇄ Front desk', 'PCMU both ways, no transcoding'],
  ['quality', 19.4, 3, 1, '3.1 % of packets lost for 2.0 s', 'from Front desk, MOS 3.4', { severity: 'warn' }],
  ['req', 27.36, 0, 1, 'BYE'],
  ['r2', 27.361, 1, 0, '200 OK'],
  ['req', 27.363, 1, 3, 'BYE'],
  ['r2', 27.39, 3, 1, '200 OK'],
  ['hook', 27.402, 1, 2, 'POST /events', 'CHANNEL_DESTROY', { exchange: 3 }],
  ['hook', 27.443, 2, 1, '200 OK', '41 ms', { exchange: 3, pair: 34, took_ms: 41 }],
]);

const MOS = [4.3, 4.3, 4.3, 4.3, 4.3, 4.3, 4.3, 4.3, 4.3, 4.3, 4.3, 4.3, 4.3, 4.2, 4.3, 4.2, 4.3, 4.2, 4.2, 3.9, 3.4, 3.5, 4.1, 4.2, 4.2, 4.3, 4.2, 4.3];

/** A call that went well, with two findings. */
export function finished(): Lens {
  return completeLens({
    id: CALLER, interaction_id: '63931-4b1e', state: 'ended', begin: BEGIN, end: BEGIN + 27_443_000, from: '+1 555 201 4477', to: '2030',
    account: '4f0c', callflow: { id: 'c0ffee', name: 'Orders' }, result: 'completed',
    sentence: 'Answered in 94 ms, connected to Front desk at 12.4 s, ended by the caller after 27.4 s, through trunk Northline. MOS 4.2.',
    cause: null, partial: null, parties: PARTIES,
    legs: [
      { call_id: CALLER, party: 'p0', direction: 'inbound', from: '+15552014477', to: '2030', cdr_id: '202611-7f3a', codec: 'PCMU', answered: 0.094, ended: 27.361, cause: 'NORMAL_CLEARING', status: 200, mos: 4.3, loss_percent: 0, jitter_ms: 2 },
      { call_id: DESK, party: 'p3', direction: 'outbound', from: '+15552014477', to: '2104', cdr_id: '202611-b1f0', codec: 'PCMU', answered: 12.41, ended: 27.39, cause: 'NORMAL_CLEARING', status: 200, mos: 4.2, loss_percent: 0.3, jitter_ms: 4 },
    ],
    events: structuredClone(DONE),
    lanes: {
      flow: [
        { n: 3, from: 0.004, to: 0.091, module: 'pivot', path: '', label: 'pivot' },
        { n: 6, from: 0.091, to: 3.41, module: 'tts', path: '_', label: 'tts' },
        { n: 10, from: 3.41, to: 5.98, module: 'collect_dtmf', path: '_._', label: 'collect_dtmf' },
        { n: 15, from: 5.98, to: 6.194, module: 'pivot', path: '_._._', label: 'pivot' },
        { n: 18, from: 6.194, to: 8.05, module: 'tts', path: '', label: 'tts' },
        { n: 21, from: 8.052, to: 27.36, module: 'device', path: '_', label: 'device · Front desk' },
      ],
      hooks: [
        { n: 4, from: 0.006, to: 0.09, label: 'GET voice.php · 84 ms', severity: null },
        { n: 16, from: 5.981, to: 6.193, label: 'POST order.php · 212 ms', severity: 'warn' },
        { n: 34, from: 27.402, to: 27.443, label: 'CHANNEL_DESTROY · 41 ms', severity: null },
      ],
      audio: [
        { n: 9, from: 0.149, to: 3.41, label: 'Pivot is pretty awesome. Have a great day.', kind: 'speech' },
        { n: 19, from: 6.21, to: 8.051, label: 'Thank you. Your order leaves today.', kind: 'speech' },
        { n: 25, from: 8.15, to: 12.41, label: 'Ringback tone', kind: 'ringback' },
        { n: 28, from: 12.42, to: 27.36, label: 'Caller ⇄ Front desk · PCMU', kind: 'bridge' },
      ],
      keys: [
        { n: 11, t: 4.62, key: '4', barge_in: false }, { n: 12, t: 5.08, key: '7', barge_in: false },
        { n: 13, t: 5.61, key: '1', barge_in: false }, { n: 14, t: 5.97, key: '1', barge_in: false }, { n: 20, t: 8.02, key: '#', barge_in: true },
      ],
      recordings: [{ id: '202611-rec', from: 0.094, to: 27.36, channels: 2, url: '/v2/accounts/4f0c/recordings/202611-rec', peaks: '/v2/accounts/4f0c/recordings/202611-rec/peaks' }],
      quality: [{ leg: DESK, points: MOS.map((mos, index) => [index + 0.1, mos < 3.6 ? 3.1 : 0, 3, mos]) }],
    },
  });
}

/** The same call while the phone has just answered. */
export function running(): Lens {
  const lens = finished();
  const now = 13.4;
  const cut = <T extends { from: number; to: number | null }>(bars: T[]) => bars.filter((bar) => bar.from < now).map((bar) => ({ ...bar, to: bar.to !== null && bar.to > now ? null : bar.to }));
  return {
    ...lens, state: 'live', end: null, result: 'running', sentence: 'Answered in 94 ms, connected to Front desk at 12.4 s, through trunk Northline. MOS now 4.3.',
    begin: Date.now() * 1000 - now * 1e6,
    events: lens.events.filter((event) => event.t < now),
    lanes: {
      ...lens.lanes, flow: cut(lens.lanes.flow), hooks: cut(lens.lanes.hooks), audio: cut(lens.lanes.audio), recordings: cut(lens.lanes.recordings),
      keys: lens.lanes.keys, quality: lens.lanes.quality.map((curve) => ({ ...curve, points: curve.points.filter(([t]) => t < now) })),
    },
    legs: lens.legs.map((leg) => ({ ...leg, ended: null })),
  };
}

/** A call that ended because a web server failed. */
export function failed(): Lens {
  const lens = finished();
  return {
    ...lens, id: 'c41d07be-9a12@198.51.100.7', result: 'failed', end: BEGIN + 103_000, sentence: 'Refused with 480 after 39 ms, through trunk Northline. One exchange with app.example.com.',
    cause: {
      code: 'hook.status', what: 'swivel asked app.example.com/voice.php what to do. The answer was 500 after 31 ms, so the call was refused with 480.',
      why: 'The body says Undefined array key "Digits" in voice.php line 12. No key was pressed yet, so none was sent.',
      todo: 'Guard line 12, then replay this request. To survive the next outage, give the pivot node a _ child, for example voicemail.',
      link: '/debug/c41d07be-9a12%40198.51.100.7/1', event: 5,
    },
    parties: PARTIES.slice(0, 3),
    legs: [{ ...(lens.legs[0] as Lens['legs'][0]), answered: null, cause: 'TEMPORARY_FAILURE', status: 480, mos: null }],
    events: events([
      ['req', 0, 0, 1, 'INVITE 2030', 'SDP PCMU PCMA'], ['r1', 0.002, 1, 0, '100 Trying'], ['flow', 0.004, 1, 1, 'pivot', 'asks app.example.com'],
      ['hook', 0.006, 1, 2, 'GET /voice.php', '13 parameters', { exchange: 1 }],
      ['hook', 0.037, 2, 1, '500 Internal Server Error', '31 ms, HTML', { exchange: 1, pair: 4, took_ms: 31, severity: 'err', findings: [{ severity: 'err', text: 'Not a document. Only 200 and 206 are read. A pivot node without child _ ends the call.' }] }],
      ['flow', 0.037, 1, 1, 'pivot failed', 'no child “_” to continue with', { severity: 'err' }],
      ['r4', 0.039, 1, 0, '480 Temporarily Unavailable', 'Reason: hook 500'], ['req', 0.071, 0, 1, 'ACK'],
      ['hook', 0.074, 1, 2, 'POST /events', 'CHANNEL_DESTROY', { exchange: 2 }], ['hook', 0.103, 2, 1, '200 OK', '29 ms', { exchange: 2, pair: 9, took_ms: 29 }],
    ]),
    lanes: {
      flow: [{ n: 3, from: 0.004, to: 0.037, module: 'pivot', path: '', label: 'pivot failed', severity: 'err' }],
      hooks: [{ n: 4, from: 0.006, to: 0.037, label: 'GET /voice.php · 500', severity: 'err' }, { n: 9, from: 0.074, to: 0.103, label: 'CHANNEL_DESTROY · 29 ms', severity: null }],
      audio: [], keys: [], recordings: [], quality: [],
    },
  };
}

/** A long call of `count` events, without anything random in it. */
export function long(count: number, state: Lens['state'] = 'ended', every = 0.0121): Lens {
  const lens = finished();
  const shapes: Line[] = DONE.map((event) => [event.kind === 'sip' ? (event.class ?? 'req') : event.kind, 0, Number(event.from?.slice(1) ?? event.party?.slice(1) ?? 1), Number(event.to?.slice(1) ?? event.party?.slice(1) ?? 1), event.title, event.detail]);
  const made = events(Array.from({ length: count }, (_, index) => {
    const shape = shapes[index % shapes.length] as Line;
    return [shape[0], +(index * every + (index % 97 === 0 && index ? 0.005 : 0)).toFixed(6), shape[2], shape[3], shape[4], shape[5]] as Line;
  }));
  const flow = made.filter((event) => event.kind === 'flow');
  return {
    ...lens, state, end: state === 'live' ? null : BEGIN + Math.round(count * every * 1e6), events: made, result: state === 'live' ? 'running' : 'completed',
    lanes: { ...lens.lanes, recordings: [], flow: flow.map((event, index) => ({ n: event.n, from: event.t, to: flow[index + 1]?.t ?? null, module: event.title, path: '', label: event.title })) },
  };
}

const FLOW = `{ "module": "tts",
  "data": {
    "text": "Thank you. Your order leaves today. I connect you now.",
    "langauge": "en-US" },
  "children": { "_": {
    "module": "device",
    "data": { "id": "b81f07c4a0c74b0d9f1e5d2f6d1a9e20", "timeout": 20 },
    "children": {} } } }`;

const ASKED: [string, string][] = [
  ['Account-ID', '4f0c2b7d0f4b4c3f9d6a7c1b8e0a91aa'], ['Api-Version', '4.x'], ['Call-ID', CALLER], ['Caller-ID-Name', 'Mara Lindqvist'], ['Caller-ID-Number', '+15552014477'],
  ['Digits[default]', '4711'], ['Direction', 'inbound'], ['From', '+15552014477'], ['From-Realm', '198.51.100.7'], ['Language', 'en-us'], ['Request', '2030'], ['Request-Realm', '203.0.113.9'], ['To', '2030'],
];

/** An event in full, made up from what the list knows of it. */
export function detail(lens: Lens, n: number): Detail {
  const event = lens.events.find((each) => each.n === n) as LensEvent;
  if (event.kind === 'sip') {
    const first = event.class === 'req' ? `${event.title.split(' ')[0]} sip:${event.title.split(' ')[1] ?? '2030'}@203.0.113.9 SIP/2.0` : `SIP/2.0 ${event.title}`;
    const headers: [string, string][] = [
      ['Via', 'SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK77ef;rport'], ['Max-Forwards', '68'], ['From', '"Mara Lindqvist" <sip:+15552014477@198.51.100.7>;tag=9a1c'],
      ['To', '<sip:2030@203.0.113.9>'], ['Call-ID', event.call_id ?? ''], ['CSeq', '1 INVITE'], ['Authorization', '••••••• (masked)'], ['Content-Type', 'application/sdp'],
    ];
    const offer = 'v=0\r\no=- 3941 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 24018 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\nm=video 24020 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n';
    const answer = 'v=0\r\no=- 1 1 IN IP4 203.0.113.9\r\ns=-\r\nc=IN IP4 203.0.113.9\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\nm=video 0 RTP/AVP 96\r\n';
    const carries = event.detail.includes('SDP') || event.detail.includes('answered');
    return { ...event, message: `${first}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${carries ? offer : ''}`, headers, sdp: carries ? { offer, answer, refused: ['m=video 24020 RTP/AVP 96'] } : null };
  }
  if (event.kind === 'hook') {
    const sent = lens.events.find((each) => each.n === (event.pair ?? event.n)) as LensEvent;
    const [method = 'GET', path = '/'] = sent.title.split(' ');
    const query = new URLSearchParams(ASKED).toString();
    const bad = event.title.startsWith('500') || lens.result === 'failed';
    const body = bad
      ? '<br />\n<b>Warning</b>: Undefined array key "Digits" in /srv/app/voice.php on line 12\n<br />\n<b>Fatal error</b>: Uncaught TypeError: strlen(): Argument #1 must be of type string, null given'
      : FLOW;
    return {
      ...event,
      request: {
        method, url: `https://app.example.com${path}${method === 'GET' ? `?${query}` : ''}`, headers: [['content-type', 'application/x-www-form-urlencoded'], ['user-agent', 'swivel'], ['authorization', '••••••• (masked)']],
        body: method === 'GET' ? '' : query, content_type: method === 'GET' ? null : 'application/x-www-form-urlencoded',
      },
      response: { status: bad ? 500 : 200, headers: [['content-type', bad ? 'text/html; charset=utf-8' : 'application/json'], ['content-length', String(body.length)], ['server', 'nginx']], body, content_type: bad ? 'text/html; charset=utf-8' : 'application/json', pretty: null },
      timing: { dns_ms: 2, connect_ms: 18, tls_ms: 41, server_ms: 143, body_ms: 8, total_ms: 212 }, error: null,
    };
  }
  if (event.kind === 'flow') return { ...event, data: { text: 'Thank you.', language: 'en-US' }, chosen: '_', why: 'The prompt ended, so the child “_” follows.' };
  if (event.kind === 'audio') return { ...event, text: event.title.replace(/[“”]/g, ''), file: null, started: event.t, ended: event.t + 3.26, stopped_by: 'its end' };
  return { ...event, packets: 1370, lost: 42 };
}

/** Peaks of two people who take turns. */
export function peaks(): { seconds: number; channels: number[][] } {
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const make = (on: (t: number) => number) => Array.from({ length: 1200 }, (_, index) => {
    const t = (index / 1200) * 27.27 + 0.094;
    const height = Math.max(0.02, on(t) * (0.25 + 0.75 * random()) * (0.55 + 0.45 * Math.abs(Math.sin(t * 5.1) + 0.4 * Math.sin(t * 13))));
    return [-Math.min(1, height), Math.min(1, height)];
  }).flat();
  const turns = (t: number, shift: number) => (Math.sin(t * 0.9 + shift) > 0.05 ? 1 : 0.04);
  return { seconds: 27.27, channels: [make((t) => (t < 12.4 ? 0.03 : turns(t, 0))), make((t) => (t < 3.41 ? 1 : t > 6.2 && t < 8.05 ? 1 : t > 12.4 ? turns(t, 3.14) : 0.02))] };
}
