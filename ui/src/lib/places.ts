// What "Go to" finds: pages, numbers, names, Call-IDs.

export interface Place {
  address: string;
  words: string;
  kind: string;
}

export const PAGES: Place[] = [
  ['/now', 'Now'], ['/calls', 'Calls'], ['/debug', 'Debug'], ['/flows', 'Callflows'], ['/numbers', 'Numbers'], ['/people/users', 'Users'],
  ['/people/devices', 'Devices'], ['/trunks', 'Trunks'], ['/media', 'Media'], ['/documents', 'Documents'], ['/webhooks', 'Webhooks'],
  ['/phone', 'Phone'], ['/settings', 'Settings'], ['/welcome', 'First steps'],
].map(([address = '', words = '']) => ({ address, words, kind: 'page' }));

/** The best twelve, those that begin with what was typed first. */
export function found(places: readonly Place[], typed: string): Place[] {
  const text = typed.trim().toLowerCase();
  if (!text) return places.slice(0, 12);
  const rank = (place: Place): number => {
    const words = place.words.toLowerCase();
    if (words.startsWith(text)) return 0;
    if (words.split(/[\s,·]+/).some((word) => word.startsWith(text))) return 1;
    return words.includes(text) ? 2 : 3;
  };
  const ranked = places.map((place) => ({ place, rank: rank(place) })).filter((one) => one.rank < 3);
  const best = ranked.sort((a, b) => a.rank - b.rank).slice(0, 11).map((one) => one.place);
  // A Call-ID nobody lists may still be a call.
  if (text.length > 6 && /[@-]|^[0-9a-f]{12,}$/.test(text)) best.push({ address: `/calls/${encodeURIComponent(typed.trim())}`, words: typed.trim(), kind: 'Call-ID' });
  if (/^\+?[\d ]{2,}$/.test(text)) best.push({ address: `/calls?q=${encodeURIComponent(typed.trim())}`, words: `Calls with ${typed.trim()}`, kind: 'search' });
  return best;
}
