// Earlier versions of a callflow. The server keeps who saved when, not what: the texts are those this tab has read or saved.

import { session } from '../session.svelte';

export interface Version {
  text: string;
  /** When it was read or saved, Unix milliseconds. */
  at: number;
}

/** A row of the audit log. */
export interface Save {
  /** Gregorian seconds. */
  created?: number;
  authenticated_user_id?: string;
  changed?: string[];
  verb?: string;
}

export interface Entry {
  /** Unix milliseconds. */
  at: number;
  user: string | null;
  changed: string[];
  /** Without it: what was saved then is not known here. */
  text: string | null;
}

const MOST = 20;
const GREGORIAN = 62_167_219_200;

const name = (id: string) => `swivel.versions.${session.now?.account ?? ''}.${id}`;

export function readVersions(id: string): Version[] {
  try {
    const found: unknown = JSON.parse(sessionStorage.getItem(name(id)) ?? '[]');
    return Array.isArray(found) ? (found as Version[]) : [];
  } catch {
    return [];
  }
}

/** Remembers what the server has now. The same text twice in a row is one version. */
export function keepVersion(id: string, text: string, at: number): void {
  const known = readVersions(id);
  if (known.at(-1)?.text === text) return;
  try {
    sessionStorage.setItem(name(id), JSON.stringify([...known, { text, at }].slice(-MOST)));
  } catch {
    // No room left: what was before stays.
  }
}

/** Saves, newest first, each with its text where this tab knows it: what was read belongs to the save before it. */
export function history(saves: readonly Save[], versions: readonly Version[]): Entry[] {
  const logged: Entry[] = saves
    .filter((save) => typeof save.created === 'number')
    .map((save) => ({ at: ((save.created ?? 0) - GREGORIAN) * 1000, user: save.authenticated_user_id ?? null, changed: save.changed ?? [], text: null }));
  logged.sort((a, b) => b.at - a.at);
  const entries = [...logged];
  for (const version of versions) {
    // The log counts whole seconds, rounded down.
    const save = logged.find((entry) => entry.at <= version.at);
    if (save) save.text = version.text;
    else entries.push({ at: version.at, user: null, changed: [], text: version.text });
  }
  return entries.sort((a, b) => b.at - a.at);
}
