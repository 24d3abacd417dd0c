// What was written and not saved. Kept in this tab, like the session: drafts may hold passwords.

import { session } from './session.svelte';

export interface Draft {
  text: string;
  /** Of the document it began from. */
  revision: string | null;
  /** Unix milliseconds. */
  at: number;
}

function name(kind: string, id: string): string {
  return `swivel.draft.${session.now?.account ?? ''}.${kind}.${id}`;
}

export function readDraft(kind: string, id: string): Draft | null {
  try {
    return JSON.parse(sessionStorage.getItem(name(kind, id)) ?? 'null') as Draft | null;
  } catch {
    return null;
  }
}

/** `null` forgets it. */
export function keepDraft(kind: string, id: string, draft: Draft | null): void {
  try {
    if (draft) sessionStorage.setItem(name(kind, id), JSON.stringify(draft));
    else sessionStorage.removeItem(name(kind, id));
  } catch {
    // No room left: the draft lives as long as the view does.
  }
}
