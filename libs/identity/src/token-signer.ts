/** Issuing signed tokens: EdDSA JWTs (RFC 8037), the key id being the name of the service that issued them. */

import { randomUUID } from 'node:crypto';
import { FleetwireError } from '@fleetwire/kernel';
import type { JWK } from 'jose';
import { importJWK, SignJWT } from 'jose';
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
  readonly lifetimeMs: number;
}

export interface TokenSigner {
  readonly service: string;
  /** Whole seconds, never longer than asked for. */
  sign(claims: TokenClaims): Promise<{ token: string; expiresAtMs: number }>;
  /** A token for calls of this service to another, renewed by itself before it ends. */
  serviceToken(): Promise<string>;
}

const SERVICE_TOKEN_MS = 10 * 60_000;
const RENEW_BEFORE_MS = 2 * 60_000;

/** Reads `tokens/<service>.json`. `nowMs` is the time to stamp with; default: this machine's. */
export async function createTokenSigner(
  dir: string,
  service: string,
  nowMs: () => number = Date.now,
): Promise<TokenSigner> {
  const jwk = await readKeyFile<JWK>(keyFiles.token(dir, service));
  const key = await importJWK(jwk, 'EdDSA');
  let own: { token: string; expiresAtMs: number } | undefined;
  const sign = async (claims: TokenClaims) => {
    if (!(claims.lifetimeMs > 0 && claims.lifetimeMs <= TOKEN_LIFETIME_MAX_MS))
      throw new FleetwireError('invalid_argument', 'TOKEN_LIFETIME', 'a token lives at most 48 hours');
    const now = Math.floor(nowMs() / 1000);
    const exp = Math.floor((nowMs() + claims.lifetimeMs) / 1000);
    const token = await new SignJWT({ org: claims.org, scopes: [...claims.scopes] })
      .setProtectedHeader({ alg: 'EdDSA', kid: service, typ: 'JWT' })
      .setIssuer(service)
      .setAudience(TOKEN_AUDIENCE)
      .setSubject(claims.sub)
      .setIssuedAt(now)
      .setExpirationTime(exp)
      .setJti(randomUUID())
      .sign(key);
    return { token, expiresAtMs: exp * 1000 };
  };
  return {
    service,
    sign,
    serviceToken: async () => {
      if (own === undefined || own.expiresAtMs - nowMs() < RENEW_BEFORE_MS)
        own = await sign({ sub: service, org: '', scopes: ['service'], lifetimeMs: SERVICE_TOKEN_MS });
      return own.token;
    },
  };
}
