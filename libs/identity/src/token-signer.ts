/** Issuing signed tokens: EdDSA JWTs (RFC 8037), the key id saying which service issued them. */

import { randomUUID } from 'node:crypto';
import { FleetwireError } from '@fleetwire/kernel';
import type { CryptoKey, JWK } from 'jose';
import { importJWK, SignJWT } from 'jose';
import { LiveTrust } from './live-trust.ts';
import { signingKids, timesOf } from './token-keys.ts';
import { keyFiles, readKeyFile } from './trust.ts';

export const TOKEN_AUDIENCE = 'fleetwire';
/** A day more than the longest of our tokens lives. */
export const TOKEN_LIFETIME_MAX_MS = 48 * 3600 * 1000;

export interface TokenClaims {
  /** Id of the user or node, or the name of the service itself. */
  readonly sub: string;
  /** Empty for services. */
  readonly org: string;
  readonly scopes: readonly string[];
  /** Counts from now, whatever `issuedAtMs` says. */
  readonly lifetimeMs: number;
  /** Id of the API key that it was exchanged for. */
  readonly key?: string | undefined;
  /** Milliseconds since the epoch, which revocations are compared with; default: now. */
  readonly issuedAtMs?: number | undefined;
}

export interface TokenSigner {
  readonly service: string;
  /** Whole seconds, never longer than asked for, nor than the key is believed. */
  sign(claims: TokenClaims): Promise<{ token: string; expiresAtMs: number }>;
  /** A token for calls of this service to another, renewed by itself before it ends and when the key changes. */
  serviceToken(): Promise<string>;
}

const SERVICE_TOKEN_MS = 10 * 60_000;
const RENEW_BEFORE_MS = 2 * 60_000;
/** How late a signer may learn that another key signs now. */
const LOOK_MS = 2000;

interface SigningKey {
  readonly kid: string;
  readonly key: CryptoKey | Uint8Array;
  /** Infinity: without end. */
  readonly untilMs: number;
}

/**
 * Signs with the key that is active at that moment, from `tokens/<kid>.json`; one that was not put there yet is passed
 * over for the one before. `nowMs` is the time to stamp with; default: this machine's. Rejects failed_precondition
 * KEYS_MISSING or KEYS_UNREADABLE.
 */
export async function createTokenSigner(
  dir: string,
  service: string,
  nowMs: () => number = Date.now,
  shared?: LiveTrust,
): Promise<TokenSigner> {
  const trust = shared ?? (await LiveTrust.open(dir));
  const keys = new Map<string, CryptoKey | Uint8Array>();
  let own: { token: string; expiresAtMs: number; kid: string } | undefined;

  async function load(kid: string): Promise<CryptoKey | Uint8Array> {
    const known = keys.get(kid);
    if (known !== undefined) return known;
    const key = await importJWK(await readKeyFile<JWK>(keyFiles.token(dir, kid)), 'EdDSA');
    keys.set(kid, key);
    return key;
  }

  async function active(): Promise<SigningKey> {
    const known = await trust.fresh(LOOK_MS);
    const kids = signingKids(known, service, nowMs());
    for (const kid of keys.keys()) if (!kids.includes(kid)) keys.delete(kid);
    for (const [index, kid] of kids.entries()) {
      try {
        const untilMs = timesOf(known, kid).believedUntilMs ?? Number.POSITIVE_INFINITY;
        return { kid, key: await load(kid), untilMs };
      } catch (error) {
        if (index === kids.length - 1) throw error;
      }
    }
    throw new Error('unreachable: there is always a key to try');
  }

  async function signBy({ kid, key, untilMs }: SigningKey, claims: TokenClaims) {
    if (!(claims.lifetimeMs > 0 && claims.lifetimeMs <= TOKEN_LIFETIME_MAX_MS))
      throw new FleetwireError('invalid_argument', 'TOKEN_LIFETIME', 'a token lives at most 48 hours');
    const ims = Math.floor(claims.issuedAtMs ?? nowMs());
    const exp = Math.floor(Math.min(nowMs() + claims.lifetimeMs, untilMs) / 1000);
    const more = claims.key === undefined ? {} : { key: claims.key };
    const token = await new SignJWT({ org: claims.org, scopes: [...claims.scopes], ims, ...more })
      .setProtectedHeader({ alg: 'EdDSA', kid, typ: 'JWT' })
      .setIssuer(service)
      .setAudience(TOKEN_AUDIENCE)
      .setSubject(claims.sub)
      .setIssuedAt(Math.floor(ims / 1000))
      .setExpirationTime(exp)
      .setJti(randomUUID())
      .sign(key);
    return { token, expiresAtMs: exp * 1000 };
  }

  await active();
  return {
    service,
    sign: async (claims) => signBy(await active(), claims),
    serviceToken: async () => {
      const key = await active();
      if (own === undefined || own.kid !== key.kid || own.expiresAtMs - nowMs() < RENEW_BEFORE_MS) {
        const claims = { sub: service, org: '', scopes: ['service'], lifetimeMs: SERVICE_TOKEN_MS };
        own = { ...(await signBy(key, claims)), kid: key.kid };
      }
      return own.token;
    },
  };
}
