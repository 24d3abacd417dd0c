// Call records as the page reads them.

/** A row of `GET …/cdrs`. */
export interface Record {
  id: string;
  call_id: string;
  caller_id_number: string;
  caller_id_name: string;
  dialed_number: string;
  callee_id_name: string;
  duration_seconds: number;
  billing_seconds: number;
  hangup_cause: string;
  direction: string;
  unix_timestamp_micro: string;
  media_recordings?: string[];
  interaction_id: string;
}

export type Result = 'completed' | 'unanswered' | 'failed';

const WISHES = new Set(['NORMAL_CLEARING', 'ORIGINATOR_CANCEL', 'USER_BUSY', 'NO_ANSWER', 'CALL_REJECTED', 'LOSE_RACE', 'ATTENDED_TRANSFER', 'BLIND_TRANSFER', 'PICKED_OFF', 'ALLOTTED_TIMEOUT', '']);

export function resultOf(record: Pick<Record, 'hangup_cause' | 'billing_seconds' | 'duration_seconds'>): Result {
  if (!WISHES.has(record.hangup_cause)) return 'failed';
  return record.hangup_cause === 'NORMAL_CLEARING' || record.billing_seconds > 0 ? 'completed' : 'unanswered';
}

const WORDS: { [cause: string]: string } = {
  ORIGINATOR_CANCEL: 'caller hung up first',
  USER_BUSY: 'busy',
  NO_ANSWER: 'nobody answered',
  CALL_REJECTED: 'refused',
  UNALLOCATED_NUMBER: 'no such number',
  NO_ROUTE_DESTINATION: 'no such number',
  SUBSCRIBER_ABSENT: 'phone not registered',
  USER_NOT_REGISTERED: 'phone not registered',
  INCOMPATIBLE_DESTINATION: 'no common codec',
  MEDIA_TIMEOUT: 'no sound came',
  RECOVERY_ON_TIMER_EXPIRE: 'other side stopped answering',
};

/** The end of a call in words. */
export function ending(record: Pick<Record, 'hangup_cause' | 'billing_seconds' | 'duration_seconds'>): string {
  if (resultOf(record) === 'completed') return 'completed';
  return WORDS[record.hangup_cause] ?? record.hangup_cause.replaceAll('_', ' ').toLowerCase();
}

/** Whether a record has what was looked for: number, name or Call-ID. Spaces in numbers do not count. */
export function fits(record: Record, text: string): boolean {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return true;
  const packed = wanted.replaceAll(' ', '');
  const all = [record.caller_id_number, record.caller_id_name, record.dialed_number, record.callee_id_name, record.call_id, record.id];
  return all.some((one) => one?.toLowerCase().includes(wanted) || one?.toLowerCase().includes(packed));
}

/** Unix microseconds of the beginning. */
export function begin(record: Record): number {
  return Math.round(Number(record.unix_timestamp_micro) * 1e6);
}

const GREGORIAN = 62_167_219_200;

/** What the API calls a moment: seconds since the year 0. */
export function gregorian(unixSeconds: number): number {
  return Math.floor(unixSeconds) + GREGORIAN;
}

export function csv(records: Record[]): string {
  const head = ['started', 'from', 'from_name', 'to', 'result', 'hangup_cause', 'duration_seconds', 'billing_seconds', 'call_id'];
  const rows = records.map((one) => [
    new Date(begin(one) / 1000).toISOString(), one.caller_id_number, one.caller_id_name, one.dialed_number, resultOf(one), one.hangup_cause,
    String(one.duration_seconds), String(one.billing_seconds), one.call_id,
  ]);
  return [head, ...rows].map((row) => row.map(cell).join(',')).join('\r\n') + '\r\n';
}

/** Quoted where it must be (RFC 4180); what a spreadsheet would run as a formula is text. Numbers may begin with `+`. */
function cell(text: string): string {
  const safe = /^[=@\t\r-]|^\+(?!\d+$)/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
