/** A NATS user in an org's account: exactly the given rights, for a limited time, bound to a key that only its holder has. */

import type { User } from '@nats-io/jwt';
import { Algorithms, encodeUser } from '@nats-io/jwt';
import { fromPublic } from '@nats-io/nkeys';
import { keyPair } from './accounts.ts';
import type { UserRights } from './service-users.ts';
import type { OrgSigning } from './trust.ts';

export interface OrgUserOptions {
  readonly signing: OrgSigning;
  readonly name: string;
  /** Of its NKEY pair. */
  readonly publicKey: string;
  readonly rights: Omit<UserRights, 'neverPublish'>;
  /** Of one connection. */
  readonly subscriptionsMax: number;
  readonly lifetimeMs: number;
  /** Milliseconds since the epoch; default: now by this machine. */
  readonly nowMs?: number;
}

export interface MintedUser {
  readonly jwt: string;
  readonly expiresAtMs: number;
}

/** Issued at `nowMs`; whole seconds, never longer than asked for. It has no not-before date: a slow server does no harm. */
export async function mintUser(o: OrgUserOptions): Promise<MintedUser> {
  const nowMs = o.nowMs ?? Date.now();
  const exp = Math.floor((nowMs + o.lifetimeMs) / 1000);
  const { publish, subscribe } = o.rights;
  const claims: Partial<User> = {
    pub: { allow: [...publish] },
    sub: { allow: [...subscribe] },
    subs: o.subscriptionsMax,
    allowed_connection_types: ['STANDARD'],
  };
  const jwt = await encodeUser(o.name, fromPublic(o.publicKey), fromPublic(o.signing.account), claims, {
    algorithm: Algorithms.v2,
    signer: keyPair(o.signing.signingSeed),
    exp,
  });
  return { jwt: issuedAt(Math.floor(nowMs / 1000), jwt, o.signing.signingSeed), expiresAtMs: exp * 1000 };
}

/** The library stamps with this machine's clock, but revocations go by one clock for all who issue: signed again. */
function issuedAt(iat: number, jwt: string, signingSeed: string): string {
  const [head, body] = jwt.split('.') as [string, string];
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as object;
  const text = `${head}.${Buffer.from(JSON.stringify({ ...claims, iat })).toString('base64url')}`;
  return `${text}.${Buffer.from(keyPair(signingSeed).sign(Buffer.from(text))).toString('base64url')}`;
}
