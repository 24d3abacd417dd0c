// Which view an address opens. A view is a file of `pages/`, loaded when it is first opened.

import type { Component } from 'svelte';

const files = import.meta.glob<{ default: Component }>('../pages/*.svelte');

/** The views of one address: the first part of the path, and whether more follows. */
const BY_PATH: Record<string, [list: string, item?: string]> = {
  now: ['Now'],
  calls: ['Calls', 'Lens'],
  debug: ['Debug', 'Debug'],
  flows: ['Flows', 'Flow'],
  numbers: ['Numbers', 'Numbers'],
  people: ['People', 'People'],
  trunks: ['Trunks', 'Trunks'],
  media: ['Media', 'Media'],
  documents: ['Documents', 'Documents'],
  webhooks: ['Webhooks', 'Webhooks'],
  phone: ['Phone'],
  settings: ['Settings'],
  login: ['Login'],
  welcome: ['Welcome'],
};

/** Views that nobody needs to be signed in for. */
export const OPEN_VIEWS = new Set(['Login', 'Welcome']);

/** The name of the view for the parts of a path. */
export function viewOf(parts: string[]): string | null {
  const views = BY_PATH[parts[0] ?? 'now'];
  if (!views) return null;
  return (parts.length > 1 ? views[1] : undefined) ?? views[0];
}

/** Loads a view. */
export async function load(view: string): Promise<Component | null> {
  const file = files[`../pages/${view}.svelte`];
  return file ? (await file()).default : null;
}
