// The JSON schemas of all documents and modules: one question, asked once.

import { ApiError, raw } from './api';
import type { Schema } from './flow/schema';

let asked: Promise<Record<string, Schema>> | null = null;

/** By id: `devices`, `callflows.pivot`, … */
export function schemas(): Promise<Record<string, Schema>> {
  asked ??= read().catch((error: unknown) => {
    asked = null;
    throw error;
  });
  return asked;
}

async function read(): Promise<Record<string, Schema>> {
  const response = await raw('openapi.json');
  if (!response.ok) throw new ApiError(response.status, 'The schemas could not be read.', response.headers.get('x-request-id') ?? '');
  const described = (await response.json()) as { components?: { schemas?: Record<string, Schema> } };
  return described.components?.schemas ?? {};
}

/** Names of the callflow modules that are built. */
export function moduleNames(all: Record<string, Schema>): string[] {
  return Object.keys(all)
    .filter((id) => id.startsWith('callflows.') && id !== 'callflows.action')
    .map((id) => id.slice('callflows.'.length))
    .sort();
}
