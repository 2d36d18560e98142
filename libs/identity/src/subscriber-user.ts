/** The NATS user of a program that follows a stream of its org: one consumer that somebody else has made, and nothing more. */

import { type Subscribed, subscriberConsumer } from '@fleetwire/contract';
import { FleetwireError } from '@fleetwire/kernel';
import { fmtCreds, parseCreds } from '@nats-io/jwt';
import { keyPair } from './accounts.ts';
import { inDomain, pullsOf } from './jetstream-subjects.ts';
import { isNodePublicKey } from './node-key.ts';
import { type MintedUser, mintUser } from './org-user.ts';
import type { UserRights } from './service-users.ts';
import type { OrgSigning } from './trust.ts';

export interface SubscriberUserOptions {
  /** Of its org. */
  readonly signing: OrgSigning;
  readonly org: string;
  readonly what: Subscribed;
  /** Of the subscription. */
  readonly name: string;
  /** The NKEY of the user; the private half stays with whoever asks. */
  readonly publicKey: string;
  readonly lifetimeMs: number;
  /** Milliseconds since the epoch; default: now by this machine. */
  readonly nowMs?: number;
}

/** Prefix of the reply subjects of its connections; its permissions cover no other. */
export const subscriberInboxPrefix = (what: Subscribed, name: string): string => `_INBOX_sub_${what}_${name}`;

/** Of one connection. */
const SUBSCRIPTIONS_MAX = 16;

/** To pull from its consumer, to look at it, to acknowledge. */
export function subscriberPermissions(
  o: Pick<SubscriberUserOptions, 'org' | 'what' | 'name'>,
): Omit<UserRights, 'neverPublish'> {
  return {
    publish: pullsOf(subscriberConsumer(o)).map(inDomain),
    subscribe: [`${subscriberInboxPrefix(o.what, o.name)}.>`],
  };
}

/** As `mintNodeUser`. Throws invalid_argument SUBSCRIBER_KEY_INVALID. */
export async function mintSubscriberUser(o: SubscriberUserOptions): Promise<MintedUser> {
  if (!isNodePublicKey(o.publicKey))
    throw new FleetwireError(
      'invalid_argument',
      'SUBSCRIBER_KEY_INVALID',
      'the public key is not a NATS user key',
      { help: 'Make an NKEY pair of the type user and give its public half, which begins with U.' },
    );
  const rights = subscriberPermissions(o);
  return mintUser({ ...o, name: `${o.what} ${o.name}`, rights, subscriptionsMax: SUBSCRIPTIONS_MAX });
}

/** The text of a creds file, as every NATS client reads it. */
export function credsText(jwt: string, seed: string): string {
  return new TextDecoder().decode(fmtCreds(jwt, keyPair(seed)));
}

/** The seed in the text of a creds file; undefined when that is none. */
export async function seedInCreds(text: string): Promise<string | undefined> {
  try {
    return (await parseCreds(new TextEncoder().encode(text))).key;
  } catch {
    return undefined;
  }
}
