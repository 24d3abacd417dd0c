// Who is signed in. The token lives in this tab's session storage and goes with it.

export interface Session {
  token: string;
  account: string;
  accountName: string;
  user: string;
  /** Id of the user's document. */
  userId: string;
  /** When the token was made, Unix milliseconds. */
  since: number;
}

const NAME = 'swivel.session';

function read(): Session | null {
  try {
    return JSON.parse(sessionStorage.getItem(NAME) ?? 'null') as Session | null;
  } catch {
    return null;
  }
}

let current = $state.raw<Session | null>(read());

export const session = {
  get now(): Session | null {
    return current;
  },
  set(next: Session | null): void {
    current = next;
    if (next) sessionStorage.setItem(NAME, JSON.stringify(next));
    else sessionStorage.removeItem(NAME);
  },
};
