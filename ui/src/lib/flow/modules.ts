// What the modules of a callflow are called and say for themselves, in words.

import { isObject } from './text';

/** Names of documents by id, as far as they are known. */
export type NameOf = (id: string) => string | undefined;

/** The token of a node's left edge. */
export function colourOf(module: string): string {
  if (module === 'pivot') return 'hook';
  if (['tts', 'play', 'tones', 'audio_macro', 'record_call', 'record_caller', 'dead_air', 'language'].includes(module)) return 'media';
  if (['collect_dtmf', 'flush_dtmf', 'send_dtmf'].includes(module)) return 'key';
  if (['device', 'user', 'group', 'ring_group', 'resources', 'offnet', 'conference', 'transfer', 'voicemail', 'callflow'].includes(module)) return 'flow';
  return 'line-2';
}

/** Modules after which nothing goes on: what stands below them is never reached. */
export const LAST = new Set(['hangup', 'response', 'wait_for_hangup', 'dead_air', 'transfer', 'conference', 'conference_feature', 'intercept', 'call_pickup', 'group_pickup']);

/** Modules that branch by something else than `_`; the keys that are fixed. */
const KEYS: Record<string, string[]> = {
  menu: ['1', '2', '3', '4', '5', '6', '7', '8', '9', '0', '*', '#', 'timeout', 'max_retries', '_'],
  check_cid: ['match', 'nomatch', '_'],
  cidlistmatch: ['match', 'nomatch', '_'],
  branch_variable: ['_'],
  branch_bnumber: ['_'],
  temporal_route: ['_'],
  device: ['_'],
  user: ['_'],
  ring_group: ['_'],
  group: ['_'],
  dynamic_cid: ['_'],
};

/** The keys a module may go on with, best first; `open` when any other may be, too. */
export function keysOf(module: string): { keys: string[]; open: boolean } {
  const keys = KEYS[module];
  if (!keys) return { keys: ['_'], open: false };
  return { keys, open: !['check_cid', 'cidlistmatch'].includes(module) };
}

/** Modules whose `_` is a way out that matters: without it the call ends there. */
const WAY_OUT: Record<string, string> = {
  pivot: 'the call ends if the server fails',
  menu: 'the call ends when no entry fits',
  temporal_route: 'the call ends when no rule fits',
  branch_variable: 'the call ends with any other value',
};

/** What becomes of the call for want of a `_`, where that is likely to be forgotten. */
export function withoutDefault(module: string): string | undefined {
  return WAY_OUT[module];
}

/** A word for an edge: what must happen for the call to take it. */
export function edgeWord(module: string, key: string, nameOf: NameOf = () => undefined): string {
  if (key === '_') {
    switch (module) {
      case 'pivot':
        return 'if the server fails';
      case 'device':
      case 'user':
      case 'group':
      case 'ring_group':
        return 'not answered';
      case 'resources':
      case 'offnet':
        return 'not connected';
      case 'menu':
        return 'no entry fits';
      case 'temporal_route':
        return 'at other times';
      case 'check_cid':
      case 'cidlistmatch':
      case 'branch_variable':
      case 'branch_bnumber':
        return 'anything else';
      default:
        return 'then';
    }
  }
  if (module === 'menu') {
    if (key === 'timeout') return 'no key, timeout';
    if (key === 'max_retries') return 'too many tries';
    return /^[\d*#]$/.test(key) ? `key ${key}` : `keys ${key}`;
  }
  if (key === 'match') return 'caller matches';
  if (key === 'nomatch') return 'caller does not match';
  if (module === 'temporal_route') return nameOf(key) ?? `rule ${shortId(key)}`;
  if (module === 'branch_variable') return `is ${key}`;
  return nameOf(key) ?? `key ${shortId(key)}`;
}

/** Ids are cut in the middle; they copy whole from where they are edited. */
export function shortId(id: string): string {
  return /^[0-9a-f]{32}$/.test(id) ? `${id.slice(0, 4)}…${id.slice(-2)}` : id;
}

/** One line of a node's data. */
export function lineOf(module: string, data: unknown, nameOf: NameOf = () => undefined): string {
  if (!isObject(data)) return '';
  const text = (key: string): string => (typeof data[key] === 'string' || typeof data[key] === 'number' ? String(data[key]) : '');
  const named = (key: string): string => (text(key) ? (nameOf(text(key)) ?? shortId(text(key))) : '');
  const join = (...parts: string[]): string => parts.filter(Boolean).join(' · ');
  const size = (key: string): number => (Array.isArray(data[key]) ? (data[key] as unknown[]).length : 0);
  const said = special();
  if (said !== undefined) return said;
  for (const [key, value] of Object.entries(data)) {
    if (key === 'skip_module') continue;
    if (typeof value === 'string' && value) return `${key} ${shortId(value)}`;
    if (typeof value === 'number' || value === true) return `${key} ${String(value)}`;
  }
  return '';

  function special(): string | undefined {
    switch (module) {
      case 'pivot':
        return text('voice_url') ? `${(text('method') || 'get').toUpperCase()} ${text('voice_url').replace(/^https?:\/\//, '')}` : isObject(data) && isObject(data.serverless) ? 'a hosted document' : 'asks nobody yet';
      case 'tts':
        return text('text') ? `“${text('text')}”` : 'says nothing yet';
      case 'device':
      case 'user':
        return join(named('id') || `no ${module} yet`, text('timeout') && text('timeout') !== '0' ? `rings ${text('timeout')} s` : '');
      case 'ring_group':
      case 'group':
        return join(text('group_name') || named('id'), size('endpoints') ? `${size('endpoints')} ${size('endpoints') === 1 ? 'endpoint' : 'endpoints'}` : '', text('strategy'));
      case 'menu':
      case 'conference':
      case 'callflow':
      case 'play':
      case 'voicemail':
        return named('id') || (module === 'conference' ? 'asks for the number' : `no ${module === 'play' ? 'media' : module} yet`);
      case 'temporal_route':
        return join(size('rules') ? `${size('rules')} ${size('rules') === 1 ? 'rule' : 'rules'}` : named('rule_set') || text('action'), text('timezone'));
      case 'response':
        return join(text('code'), text('message'));
      case 'collect_dtmf':
        return join(`up to ${text('max_digits') || '1'} ${text('max_digits') === '1' || !text('max_digits') ? 'key' : 'keys'}`, text('collection_name') && `as ${text('collection_name')}`);
      case 'sleep':
        return `${text('duration') || '0'} ${text('unit') || 's'}`;
      case 'transfer':
        return text('target') ? `to ${text('target')}` : 'no target yet';
      case 'resources':
      case 'offnet':
        return text('to_did') ? `to ${text('to_did')}` : 'the number that was dialled';
      case 'check_cid':
        return text('regex') && `caller like ${text('regex')}`;
      case 'set_variables':
        return isObject(data) && isObject(data.custom_application_vars) ? Object.keys(data.custom_application_vars).join(', ') : '';
      case 'language':
        return text('language');
      default:
        return undefined;
    }
  }
}

/** What a fresh node of a module begins with. */
export function freshData(module: string): Record<string, unknown> {
  switch (module) {
    case 'pivot':
      return { voice_url: 'https://', method: 'get', debug: true };
    case 'tts':
      return { text: 'Welcome.' };
    case 'device':
    case 'user':
      return { id: '', timeout: 20 };
    case 'menu':
    case 'play':
    case 'callflow':
      return { id: '' };
    case 'response':
      return { code: 486 };
    case 'sleep':
      return { duration: 1, unit: 's' };
    case 'transfer':
      return { target: '' };
    case 'collect_dtmf':
      return { max_digits: 1 };
    case 'record_call':
      return { action: 'start' };
    case 'language':
      return { language: 'en-us' };
    case 'ring_group':
      return { endpoints: [], timeout: 20 };
    default:
      return {};
  }
}

/** The modules people reach for, in the order they do. */
export const COMMON = ['pivot', 'tts', 'play', 'menu', 'collect_dtmf', 'device', 'user', 'ring_group', 'resources', 'conference', 'callflow', 'temporal_route', 'transfer', 'hangup'];

/** Known to KAZOO and accepted, but not run here: the call goes on to `_`. */
export const NOT_BUILT = new Set(
  ('acdc_agent acdc_member acdc_queue acdc_wait_time camping_feature detect_speech directory disa doorman eavesdrop eavesdrop_feature edr fax_detect faxbox ' +
    'function group_pickup_feature intercept_feature intercom lookupcidname manual_presence missed_call_alert move nomorobo notification page_group park ' +
    'receive_fax route_to_cid set skel voicemail webhook').split(' '),
);

/** The kind of document an id of a module's data names, as the API calls it. */
export function referenceOf(module: string, field: string): string | undefined {
  const own: Record<string, string> = { device: 'devices', user: 'users', menu: 'menus', callflow: 'callflows', play: 'media', conference: 'conferences', group: 'groups', cidlistmatch: 'lists', conference_feature: 'conferences' };
  if (field === 'id') return own[module];
  const ends: [string, string][] = [['device_id', 'devices'], ['user_id', 'users'], ['owner_id', 'users'], ['group_id', 'groups'], ['callflow_id', 'callflows'], ['media_id', 'media'], ['rule_set', 'temporal_rules_sets']];
  return ends.find(([end]) => field.endsWith(end))?.[1];
}
