// Who is in a callflow now, by node. Rows of the live view name the callflow and the node a call is at.

import { subscribe } from '../live.svelte';

interface Row {
  callflow_id?: string;
  /** Address of the node below `flow`: `children._`. */
  node_path?: string;
}

/** Counts the calls of a callflow while the view is open. */
export function liveCallers(id: () => string | null): { byNode: Map<string, number> } {
  let byNode = $state.raw(new Map<string, number>());
  $effect(() => {
    const own = id();
    if (own === null) return;
    return subscribe('now', (data) => {
      const calls = (data as { calls?: Row[] } | null)?.calls;
      if (Array.isArray(calls)) byNode = count(calls, own);
    });
  });
  return {
    get byNode() {
      return byNode;
    },
  };
}

/** Calls by node. A call whose node is not told stands at the first one. */
export function count(calls: Row[], id: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const call of calls) {
    if (call.callflow_id !== id) continue;
    const at = call.node_path ?? '';
    found.set(at, (found.get(at) ?? 0) + 1);
  }
  return found;
}
