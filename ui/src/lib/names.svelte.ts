// The documents of the account by kind and id, for names in place of ids.

import { get } from './api';
import { session } from './session.svelte';

export interface Row {
  id: string;
  name?: string;
  [key: string]: unknown;
}

let account = '';
let lists = $state.raw<Record<string, Row[]>>({});
const asked = new Map<string, Promise<Row[]>>();

function of(): void {
  if (account === (session.now?.account ?? '')) return;
  account = session.now?.account ?? '';
  lists = {};
  asked.clear();
}

/** What is called what. */
export function nameOfRow(row: Row): string {
  const person = [row.first_name, row.last_name].filter(Boolean).join(' ');
  return row.name || person || String(row.username ?? '') || row.id;
}

export const names = {
  /** The list of a kind, as far as it was read. */
  list(kind: string): Row[] | undefined {
    return lists[kind];
  },
  /** The name of a document, whatever its kind. */
  of(id: string): string | undefined {
    for (const list of Object.values(lists)) {
      const row = list.find((each) => each.id === id);
      if (row) return nameOfRow(row);
    }
    return undefined;
  },
  /** Reads a list; `anew` although it was read already. */
  read(kind: string, anew = false): Promise<Row[]> {
    of();
    const known = asked.get(kind);
    if (known && !anew) return known;
    const asking = get<Row[]>(`{account}/${kind}`, { paginate: false, ...(kind === 'phone_numbers' ? { as_list: true } : {}) }).then((rows) => {
      const list = Array.isArray(rows) ? rows : [];
      lists = { ...lists, [kind]: list };
      return list;
    });
    asked.set(kind, asking);
    asking.catch(() => asked.delete(kind));
    return asking;
  },
};
