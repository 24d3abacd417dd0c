// Who is in a callflow now, by node. Rows of the live view name the callflow and the node a call is at.

import { get } from '../api';
import { subscribe } from '../live.svelte';
import { all, type Node } from './tree';

export interface Row {
  call_id?: string;
  callflow_id?: string | null;
  /** Module of the node the call is at. */
  node?: string;
  /** The keys that lead to it, joined by dots. */
  node_path?: string;
}

/** Counts the calls of a callflow while the view is open. */
export function liveCallers(id: () => string | null, tree: () => Node | null): { byNode: Map<string, number> } {
  let rows = $state.raw<Row[]>([]);
  let before = new Map<string, string>();
  $effect(() => {
    if (id() === null) return;
    const take = (data: unknown) => {
      const calls = (data as { calls?: Row[] } | null)?.calls;
      if (Array.isArray(calls)) rows = calls;
    };
    const read = () => void get<unknown>('{account}/now').then(take, () => {});
    read();
    return subscribe('now', take, read);
  });
  const byNode = $derived.by(() => {
    before = places(rows, id() ?? '', tree(), before);
    const found = new Map<string, number>();
    for (const at of before.values()) found.set(at, (found.get(at) ?? 0) + 1);
    return found;
  });
  return {
    get byNode() {
      return byNode;
    },
  };
}

/**
 * Where the calls of a callflow are, by Call-ID. A call that runs what a server answered is in another tree: it stands
 * where it was seen last, at first at the beginning.
 */
export function places(rows: Row[], id: string, tree: Node | null, before: Map<string, string>): Map<string, string> {
  const nodes = new Map(all(tree).map((node) => [keysOf(node), node]));
  const found = new Map<string, string>();
  for (const row of rows) {
    if (row.callflow_id !== id || !row.call_id || !tree) continue;
    const node = nodes.get(row.node_path ?? '');
    const last = before.get(row.call_id);
    const stays = last !== undefined && [...nodes.values()].some((each) => each.at === last && each.module === 'pivot') && node?.at === '' && row.node !== 'pivot';
    found.set(row.call_id, node && node.module === row.node && !stays ? node.at : (last ?? tree.at));
  }
  return found;
}

function keysOf(node: Node): string {
  return node.path.filter((_, n) => n > 0 && n % 2 === 0).join('.');
}
