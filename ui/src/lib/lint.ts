// What the server says of a hosted document.

import { ask } from './api';
import type { Mark } from './code/write';

export interface Lint {
  severity: 'err' | 'warn';
  text: string;
  line: number | null;
  column: number | null;
}

interface Judged {
  document: boolean;
  error?: string;
  findings?: { line: number; column: number; status: string; path: string; message: string }[];
}

/** The findings of TwiML, as `swivel twiml lint` has them. */
export async function lintTwiml(text: string, profile: string, signal: AbortSignal): Promise<Lint[]> {
  const { data } = await ask<Judged>('{account}/twiml/lint', { method: 'POST', data: { flow_doc: text, ...(profile ? { profile } : {}) }, signal });
  return read(data);
}

export function read(judged: Judged): Lint[] {
  if (!judged.document) {
    const error = judged.error ?? 'is not TwiML';
    const at = /(\d+):(\d+)/.exec(error) ?? /line (\d+),? column (\d+)/.exec(error);
    return [{ severity: 'err', text: `The document is not TwiML: ${error}.`, line: at ? Number(at[1]) : null, column: at ? Number(at[2]) : null }];
  }
  return (judged.findings ?? []).map((each) => ({ severity: each.status === 'refused' ? 'err' : 'warn', text: `${each.path}: ${each.message}.`.replace(/\.\.$/, '.'), line: each.line, column: each.column }));
}

/** Where findings stand in the text. */
export function marksOf(text: string, found: Lint[]): Mark[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return found.flatMap((each) => {
    const start = each.line === null ? 0 : starts[each.line - 1];
    if (start === undefined) return [];
    const from = Math.min(start + Math.max(0, (each.column ?? 1) - 1), text.length);
    const word = /^<?[\w:]+|^./.exec(text.slice(from))?.[0].length ?? 0;
    return [{ from, to: from + word, severity: each.severity, message: each.text }];
  });
}
