// Addresses. Every view reads its state from here and writes it back, so that each fact can be sent as a link.

interface Place {
  path: string;
  query: URLSearchParams;
}

function read(): Place {
  return { path: decodePath(location.pathname), query: new URLSearchParams(location.search) };
}

/** The path as it stands: its parts are decoded one by one, so that an encoded `/` stays inside its part. */
function decodePath(path: string): string {
  return path === '/' ? '/now' : path;
}

let place = $state.raw<Place>(read());
let guard: (() => boolean) | null = null;

addEventListener('popstate', () => (place = read()));

export const route = {
  get path(): string {
    return place.path;
  },
  /** The parts between the slashes, decoded. */
  get parts(): string[] {
    return place.path.split('/').filter(Boolean).map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
  },
  get query(): URLSearchParams {
    return place.query;
  },
};

/** Goes to an address inside the page. `replace` leaves no step for Back. */
export function go(address: string, options: { replace?: boolean } = {}): void {
  if (guard && !guard()) return;
  if (options.replace) history.replaceState(null, '', address);
  else history.pushState(null, '', address);
  place = read();
}

/** Changes parts of the query; an empty or missing value takes the name out. */
export function setQuery(change: Record<string, string | null | undefined>, options: { replace?: boolean } = {}): void {
  const query = new URLSearchParams(place.query);
  for (const [name, value] of Object.entries(change)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  go(location.pathname + (text ? `?${text}` : ''), options);
}

/** Asked before the address changes; answers whether it may. `null` asks nobody. */
export function askBeforeLeaving(ask: (() => boolean) | null): void {
  guard = ask;
}

/** Makes clicks on links inside the page change the address without loading it anew. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element | null)?.closest('a');
  if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
  if (/^\/(v2|sip|metrics|healthz|2010-04-01)(\/|$)/.test(link.pathname)) return;
  event.preventDefault();
  go(link.pathname + link.search + link.hash);
}
