// Words for the log of webhook deliveries.

const GREGORIAN = 62_167_219_200;

/** When, in this browser's time. */
export function clock(gregorian: number): string {
  const at = new Date((gregorian - GREGORIAN) * 1000);
  return Number.isNaN(at.getTime()) ? '' : at.toLocaleString([], { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

/** Headers as pairs, however they are told. */
export function headersOf(told: unknown): [string, string][] {
  if (Array.isArray(told)) return told.filter(Array.isArray).map((pair) => [String(pair[0]), String(pair[1])]);
  return typeof told === 'object' && told !== null ? Object.entries(told).map(([name, value]) => [name, String(value)]) : [];
}

/** A body to read: JSON indented, forms a field a line. */
export function pretty(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    if (/^[^\s=&]+=[^\s]*(&[^\s=&]+=[^\s]*)+$/.test(body)) return [...new URLSearchParams(body)].map(([name, value]) => `${name} = ${value}`).join('\n');
    return body;
  }
}
