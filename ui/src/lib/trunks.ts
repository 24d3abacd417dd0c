// The test of a trunk, in the order its steps are done.

export interface Step {
  step: string;
  state: 'ok' | 'skipped' | 'failed';
  text: string;
  todo?: string;
  took_ms?: number;
}

export const STEPS = [
  { id: 'name', name: 'Name', doing: 'Looking the name up' },
  { id: 'port', name: 'Port', doing: 'Connecting' },
  { id: 'tls', name: 'TLS', doing: 'Shaking hands' },
  { id: 'options', name: 'OPTIONS', doing: 'Asking whether SIP is spoken there' },
  { id: 'register', name: 'REGISTER', doing: 'Looking at the registration' },
  { id: 'call', name: 'Call', doing: 'Calling' },
];

/** What all steps together say. */
export function verdict(steps: Step[]): string {
  const bad = steps.find((each) => each.state === 'failed');
  if (bad) return `Calls do not go out by this trunk: ${STEPS.find((each) => each.id === bad.step)?.name ?? bad.step} failed.`;
  return steps.some((each) => each.step === 'call' && each.state === 'ok') ? 'Calls go out by this trunk.' : 'The trunk answers. Whether it takes calls shows the first call.';
}
