// What `GET …/now` gives, and the binding `now` tells.

export interface CallRow {
  call_id: string;
  from: string;
  from_name: string | null;
  to: string;
  to_name: string | null;
  state: string;
  node: string;
  last_hook: string;
  /** Unix µs. */
  since: number;
  device: string;
}

export interface ProblemRow {
  code: string;
  what: string;
  todo: string;
  link: string | null;
  count: number;
  last_call: string;
  last_at: number;
}

export interface DoorRow {
  name: string;
  state: 'ok' | 'attention' | 'failing' | 'off';
  detail: string;
}

export interface EndedRow {
  id: string;
  call_id: string;
  from: string;
  from_name: string | null;
  to: string;
  result: 'completed' | 'failed' | 'refused';
  cause: string | null;
  duration_s: number;
  mos: number | null;
  at: number;
}

export interface Glance {
  calls: CallRow[];
  figures: {
    calls: number;
    calls_per_s: number[];
    hook_p95_ms: number | null;
    hook_points: (number | null)[];
    mos: number | null;
    mos_points: (number | null)[];
  };
  problems: ProblemRow[];
  calls_last_hour: number;
  trunks: (DoorRow & { id: string })[];
  phones: { registered: number; known: number; list: (DoorRow & { device: string; aor: string | null; calls: number })[] };
  ended: EndedRow[];
  server: { version: string; up_s: number; at: number };
}

/** How a state of a call is coloured: its kind. */
export function kindOf(state: string): string {
  if (state === 'talking' || state === 'speaking' || state === 'in a conference' || state === 'recording') return 'media';
  if (state === 'waiting for keys') return 'key';
  if (state === 'asking') return 'hook';
  return '';
}

/**
 * Rows in their order: while `held` (a pointer is over the table) they keep their places, ended ones stay as they were and
 * new ones come last.
 */
export function placed(shown: readonly CallRow[], fresh: readonly CallRow[], held: boolean): { row: CallRow; ended: boolean }[] {
  if (!held) return fresh.map((row) => ({ row, ended: false }));
  const now = new Map(fresh.map((row) => [row.call_id, row]));
  const kept = shown.map((row) => ({ row: now.get(row.call_id) ?? row, ended: !now.has(row.call_id) }));
  const before = new Set(shown.map((row) => row.call_id));
  return [...kept, ...fresh.filter((row) => !before.has(row.call_id)).map((row) => ({ row, ended: false }))];
}
