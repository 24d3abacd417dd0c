// Signing in, staying signed in, signing out.

import { sha1 } from '@noble/hashes/legacy';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils';
import { ApiError, ask, type Envelope } from './api';
import { renewSubscriptions } from './live.svelte';
import { session } from './session.svelte';

interface SignedIn {
  account_id: string;
  account_name: string;
  owner_id?: string;
}

interface Answer extends Envelope<SignedIn> {
  auth_token?: string;
}

/** What the API compares: a hash of name and password, the name in lower case. */
export function credentials(user: string, password: string): string {
  return bytesToHex(sha1(utf8ToBytes(`${user.toLowerCase()}:${password}`)));
}

/** `ada`, or `ada@realm` where several accounts have an Ada with the same password. */
export async function signIn(name: string, password: string): Promise<void> {
  const [user = '', realm] = name.trim().split('@');
  const data: Record<string, string> = { credentials: credentials(user, password), method: 'sha' };
  if (realm) data.account_realm = realm;
  keep((await ask<SignedIn>('user_auth', { method: 'PUT', data })) as Answer, user.toLowerCase());
}

/** By the key of a link that works once. */
export async function signInByKey(key: string): Promise<void> {
  const answer = (await ask<SignedIn>('welcome', { method: 'PUT', data: { key } })) as Answer;
  keep(answer, '');
  await learnName();
}

async function learnName(): Promise<void> {
  const now = session.now;
  if (!now?.userId) return;
  const user = await ask<{ username?: string }>(`{account}/users/${now.userId}`);
  session.set({ ...now, user: user.data.username ?? 'you' });
}

function keep(answer: Answer, user: string): void {
  if (!answer.auth_token) throw new ApiError(500, 'swivel answered without a token.', answer.request_id ?? '');
  session.set({
    token: answer.auth_token,
    account: answer.data.account_id,
    accountName: answer.data.account_name,
    user,
    userId: answer.data.owner_id ?? '',
    since: Date.now(),
  });
  renewSubscriptions();
}

/** Half a token's life is enough warning: a tab that stays open stays signed in for half a day. */
const RENEW_MS = 20 * 60 * 1000;

export function stayIn(): void {
  setInterval(() => {
    const now = session.now;
    if (!now || Date.now() - now.since < RENEW_MS) return;
    ask<SignedIn>('token_auth', { method: 'PUT' }).then(
      (answer) => {
        const token = (answer as Answer).auth_token;
        if (!token || !session.now) return;
        session.set({ ...session.now, token, since: Date.now() });
        renewSubscriptions();
      },
      () => undefined,
    );
  }, 60_000);
}

/** Ends the token for good. */
export async function signOut(): Promise<void> {
  try {
    await ask('token_auth', { method: 'DELETE' });
  } catch {
    // A token that is over already needs no ending.
  }
  session.set(null);
}
