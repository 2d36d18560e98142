/** Which token keys are believed and which one signs, as trust.json tells: pure decisions about a moment. */

import { createHash } from 'node:crypto';
import type { PublishedKey, PublishedKeys, TokenKeyTimes, Trust } from './trust.ts';

/** What these decisions go by. */
export type TokenKeys = Pick<Trust, 'jwks' | 'tokenKeys'>;

const ALWAYS = { activeFromMs: 0 };

/** The keys of a service are `org`, `org.2`, `org.3`, ... */
export function serviceOfKid(kid: string): string {
  return kid.split('.', 1)[0]!;
}

/** 1 for a service's first key. */
export function numberOfKid(kid: string): number {
  return Number(kid.split('.')[1] ?? 1);
}

export const kidOf = (service: string, number: number) => (number === 1 ? service : `${service}.${number}`);

/** Public keys of one service, first made first. */
export function keysOfService({ jwks }: TokenKeys, service: string): readonly PublishedKey[] {
  return jwks.keys
    .filter(({ kid }) => kid !== undefined && serviceOfKid(kid) === service)
    .toSorted((a, b) => numberOfKid(a.kid!) - numberOfKid(b.kid!));
}

export function timesOf({ tokenKeys }: TokenKeys, kid: string | undefined): Omit<TokenKeyTimes, 'kid'> {
  return tokenKeys?.find((times) => times.kid === kid) ?? ALWAYS;
}

/** The keys to believe now, those included that sign only later; each says with `exp` when that ends, if it ends. */
export function publishedKeys(trust: TokenKeys, nowMs: number): PublishedKeys {
  const keys = trust.jwks.keys.flatMap((key): PublishedKey[] => {
    const { believedUntilMs: untilMs } = timesOf(trust, key.kid);
    if (untilMs === undefined) return [key];
    return untilMs > nowMs ? [{ ...key, exp: Math.ceil(untilMs / 1000) }] : [];
  });
  return { keys };
}

/**
 * Ids of the keys that a service may sign with now, best first: the one that became active last, and for want of it
 * the next to come. Its name alone where trust.json has none of it.
 */
export function signingKids(trust: TokenKeys, service: string, nowMs: number): readonly string[] {
  const believed = publishedKeys(trust, nowMs);
  const keys = keysOfService({ ...trust, jwks: believed }, service).toReversed();
  const from = (kid: string) => timesOf(trust, kid).activeFromMs;
  const kids = keys.map(({ kid }) => kid!);
  const active = kids.filter((kid) => from(kid) <= nowMs).toSorted((a, b) => from(b) - from(a));
  const coming = kids.filter((kid) => from(kid) > nowMs).toSorted((a, b) => from(a) - from(b));
  const best = [...active, ...coming];
  return best.length > 0 ? best : [service];
}

/** Tells one text of published keys from another; 16 hex digits. */
export function trustDigest(published: string): string {
  if (published !== last.published) {
    const digest = createHash('sha256').update(published, 'utf8').digest('hex').slice(0, 16);
    last = { published, digest };
  }
  return last.digest;
}

/** Each heartbeat asks for the digest of the same text. */
let last = { published: '', digest: 'e3b0c44298fc1c14' };
