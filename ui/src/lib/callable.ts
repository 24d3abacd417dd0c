// Numbers that can be called from the page.

import { get } from './api';

export interface Callable {
  number: string;
  name: string;
}

interface Flow {
  name?: string;
  numbers?: string[];
}

/** Plain numbers of callflows, in their order. */
export function callable(flows: readonly Flow[]): Callable[] {
  const all = flows.flatMap((flow) => (flow.numbers ?? []).filter((one) => /^\+?\d+$/.test(one)).map((number) => ({ number, name: flow.name ?? '' })));
  return all.sort((a, b) => a.number.length - b.number.length || a.number.localeCompare(b.number));
}

export async function numbers(): Promise<Callable[]> {
  return callable(await get<Flow[]>('{account}/callflows', { paginate: false }));
}
