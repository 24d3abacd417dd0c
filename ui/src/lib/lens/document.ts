// Documents compared as documents: order of keys and white space mean nothing.

/** A JSON text laid out anew; one that is not JSON as it is. Numbers and escapes stay what they were. */
export function pretty(text: string | null | undefined): string {
  if (!text) return '';
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** XML with an element a line; text stays in its element, letter by letter. What is not well-formed stays as it is. */
export function prettyXml(text: string): string {
  if (!text.trimStart().startsWith('<') || new DOMParser().parseFromString(text.trim(), 'text/xml').querySelector('parsererror')) return text;
  const tokens = text.trim().match(/<!--[\s\S]*?-->|<!\[CDATA\[[\s\S]*?\]\]>|<(?:"[^"]*"|'[^']*'|[^>"'])*>|[^<]+/g) ?? [];
  const lines: string[] = [];
  let depth = 0;
  let line = '';
  const flush = () => {
    if (line.trim()) lines.push('  '.repeat(Math.max(0, depth)) + line.trim());
    line = '';
  };
  for (const [at, token] of tokens.entries()) {
    if (token.startsWith('</')) {
      const alone = line === '';
      if (alone) depth--;
      line += token;
      if (!alone) depth = Math.max(0, depth);
      flush();
    } else if (token.startsWith('<') && !/^<[?!]|\/>$/.test(token)) {
      flush();
      line = token;
      // An element that holds text alone stays on its line.
      const [inner, end] = [tokens[at + 1] ?? '', tokens[at + 2] ?? ''];
      const short = inner.startsWith('</') || (!/^<(?!!\[CDATA)/.test(inner) && end.startsWith('</'));
      if (!short) {
        flush();
        depth++;
      }
    } else if (token.startsWith('<') && !token.startsWith('<![CDATA[')) {
      flush();
      line = token;
      flush();
    } else if (line || token.trim()) line += line ? token : token.trim();
  }
  flush();
  return lines.join('\n');
}

/** A body as it is read best, by what it is. */
export function laidOut(body: string | null | undefined, language: string, contentType: string | null | undefined): string {
  if (language === 'json') return pretty(body);
  return language === 'xml' && !(contentType ?? '').includes('html') ? prettyXml(body ?? '') : (body ?? '');
}

/** Two bodies, made to differ only where their meaning differs. */
export function comparable(one: string, other: string): [string, string] {
  try {
    const left: unknown = JSON.parse(one);
    const right: unknown = JSON.parse(other);
    return [JSON.stringify(left, null, 2), JSON.stringify(like(right, left), null, 2)];
  } catch {
    return [spaced(one), spaced(other)];
  }
}

/** `value` with its keys in the order of `model`, those it alone has behind them. */
function like(value: unknown, model: unknown): unknown {
  if (Array.isArray(value)) return value.map((each: unknown, index) => like(each, Array.isArray(model) ? model[index] : undefined));
  if (typeof value !== 'object' || value === null) return value;
  const own = value as Record<string, unknown>;
  const other = typeof model === 'object' && model !== null && !Array.isArray(model) ? (model as Record<string, unknown>) : {};
  const names = [...Object.keys(other).filter((name) => name in own), ...Object.keys(own).filter((name) => !(name in other)).sort()];
  return Object.fromEntries(names.map((name) => [name, like(own[name], other[name])]));
}

/** XML and anything else: one tag a line, no white space at the ends. */
function spaced(text: string): string {
  const laid = text.trimStart().startsWith('<') ? text.replace(/>\s*</g, '>\n<') : text;
  return laid.split('\n').map((line) => line.trim()).filter(Boolean).join('\n');
}

/** The line of a laid-out document on which a path such as `children._.data.text` stands, counted from 1. */
export function lineOf(text: string, path: string | null | undefined): number | null {
  if (!path) return null;
  const wanted = path.replace(/\[(\d+)\]/g, '.$1').replace(/^[$#/.]+/, '').split(/[./]/).filter(Boolean);
  if (wanted.length === 0) return 1;
  const lines = text.split('\n');
  let depth = 0;
  const stack: { key: string; index: number | null }[] = [];
  for (const [number, line] of lines.entries()) {
    const body = line.trim();
    if (/^[}\]]/.test(body)) {
      depth--;
      stack.length = depth;
      continue;
    }
    const parent = stack[depth - 1];
    const named = /^"((?:[^"\\]|\\.)*)"\s*:/.exec(body);
    const key = named ? unescaped(named[1] ?? '') : parent?.index !== null && parent ? String(parent.index++) : '';
    if (depth > 0 && depth === wanted.length && key === wanted[depth - 1] && stack.slice(1, depth).every((each, at) => each.key === wanted[at])) return number + 1;
    if (/[{[]$/.test(body)) {
      stack[depth] = { key, index: body.endsWith('[') ? 0 : null };
      depth++;
      stack.length = depth;
    }
  }
  return null;
}

function unescaped(text: string): string {
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    return text;
  }
}

/** Where JSON breaks, with three lines of context. Browsers tell the place in words that differ, if at all. */
export function jsonBreak(text: string): { line: number; column: number; message: string; context: string[]; first: number } | null {
  let message: string;
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    message = error instanceof Error ? error.message.split(', "')[0]?.replace(/ in JSON.*| \(line .*/, '') ?? '' : String(error);
  }
  const before = text.slice(0, breakAt(text)).split('\n');
  const line = before.length;
  const first = Math.max(1, line - 2);
  return { line, column: (before.at(-1)?.length ?? 0) + 1, message, context: text.split('\n').slice(first - 1, line + 1), first };
}

const TOKEN = /\s*("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:])/y;

/** The first letter that cannot stand where it stands. */
function breakAt(text: string): number {
  const stack: string[] = [];
  // What may come: a value, a name, what follows a value; `]` and `}` only right after their opening.
  let next: 'value' | 'first value' | 'name' | 'first name' | 'colon' | 'after' = 'value';
  let at = 0;
  for (;;) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)?.[1];
    const start = at + (/^\s*/.exec(text.slice(at))?.[0].length ?? 0);
    if (token === undefined) return start;
    const inside = stack.at(-1);
    if (next === 'colon') {
      if (token !== ':') return start;
      next = 'value';
    } else if (next === 'after') {
      if (token === ',' && inside) next = inside === '{' ? 'name' : 'value';
      else if ((token === '}' && inside === '{') || (token === ']' && inside === '[')) stack.pop();
      else return start;
    } else if ((token === '}' && next === 'first name') || (token === ']' && next === 'first value')) {
      stack.pop();
      next = 'after';
    } else if (next === 'name' || next === 'first name') {
      if (!token.startsWith('"')) return start;
      next = 'colon';
    } else if (token === '{' || token === '[') {
      stack.push(token);
      next = token === '{' ? 'first name' : 'first value';
    } else if (/^[}\],:]/.test(token)) return start;
    else next = 'after';
    at = TOKEN.lastIndex;
  }
}
