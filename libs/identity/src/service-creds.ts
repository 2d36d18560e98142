/** The credentials of our own processes: a NATS user each, without end, with the rights of the table and no others. */

import type { User } from '@nats-io/jwt';
import { Algorithms, decode, encodeUser, fmtCreds, parseCreds } from '@nats-io/jwt';
import type { KeyPair } from '@nats-io/nkeys';
import { createUser, fromPublic } from '@nats-io/nkeys';
import { type KeySeeds, keyPair, publicKeyOf } from './accounts.ts';
import type { UserRights } from './service-users.ts';

/** Of one connection: pulls, watches, listeners, and much room. */
const SERVICE_SUBSCRIPTIONS_MAX = 4096;
/** What there is to differ in, also by not being there. */
const CLAIMS = ['pub', 'sub', 'resp', 'subs', 'allowed_connection_types'] as const;

/** The text of a creds file of a new user in `account`. Without `rights` it has all of the account: for tests and tools. */
export function newCreds(name: string, account: KeySeeds, rights?: UserRights): Promise<string> {
  return credsOf(createUser(), name, account, rights);
}

/**
 * The text to put in the place of `held`: the same user with what the table says today. Undefined when `held` says it
 * already. What cannot be read, or is a user of another account, makes room for a new user.
 */
export async function renewedCreds(
  held: string,
  name: string,
  account: KeySeeds,
  rights: UserRights,
): Promise<string | undefined> {
  const there = await readCreds(held);
  if (there === undefined || there.issuer !== publicKeyOf(account.signingSeed))
    return newCreds(name, account, rights);
  const wanted: Partial<User> = claimsOf(rights);
  const says = CLAIMS.every((key) => JSON.stringify(there.claims[key]) === JSON.stringify(wanted[key]));
  return says ? undefined : credsOf(there.user, name, account, rights);
}

async function credsOf(
  user: KeyPair,
  name: string,
  account: KeySeeds,
  rights: UserRights | undefined,
): Promise<string> {
  const claims = rights === undefined ? {} : claimsOf(rights);
  const options = { algorithm: Algorithms.v2, signer: keyPair(account.signingSeed) };
  const jwt = await encodeUser(name, user, fromPublic(publicKeyOf(account.seed)), claims, options);
  return new TextDecoder().decode(fmtCreds(jwt, user));
}

function claimsOf({ publish, neverPublish, subscribe }: UserRights): Partial<User> {
  return {
    pub: { allow: [...publish], deny: [...(neverPublish ?? [])] },
    sub: { allow: [...subscribe], deny: [] },
    subs: SERVICE_SUBSCRIPTIONS_MAX,
    allowed_connection_types: ['STANDARD'],
  };
}

async function readCreds(
  text: string,
): Promise<{ user: KeyPair; issuer: string; claims: Record<string, unknown> } | undefined> {
  try {
    const { jwt, key } = await parseCreds(new TextEncoder().encode(text));
    const { iss, nats } = decode<Record<string, unknown>>(jwt);
    return { user: keyPair(key), issuer: iss, claims: nats };
  } catch {
    return undefined;
  }
}
