/** Checking tokens: by published keys alone, and only from the service that may issue that kind of token. */

import { FleetwireError, keepNewest } from '@fleetwire/kernel';
import type { JSONWebKeySet, JWTPayload } from 'jose';
import { createLocalJWKSet, errors, jwtVerify } from 'jose';
import type { LiveTrust } from './live-trust.ts';
import { publishedKeys, serviceOfKid } from './token-keys.ts';
import { TOKEN_AUDIENCE } from './token-signer.ts';
import type { PublishedKeys, Trust } from './trust.ts';

/** Who calls. */
export interface Caller {
  readonly kind: 'user' | 'node' | 'service';
  /** Id of the user or node, or the name of the service. */
  readonly subject: string;
  /** Empty for services. */
  readonly org: string;
  readonly scopes: readonly string[];
  /** Id of the API key behind the token; empty when there is none. */
  readonly key: string;
  /** When the token was issued, in milliseconds since the epoch. */
  readonly issuedAtMs: number;
}

export interface TokenVerifier {
  /** Rejects unauthenticated TOKEN_EXPIRED or TOKEN_INVALID, or what `refused` says. */
  verify(token: string): Promise<Caller>;
}

export interface VerifierOptions {
  /** Milliseconds since the epoch; default: this machine's clock. */
  readonly nowMs?: () => number;
  /** Tokens remembered as good, so that a busy caller costs one signature check. Default 1,000. */
  readonly rememberedMax?: number;
  /** Asked about each good token, remembered ones as well: the error to refuse it with. Must be quick. */
  readonly refused?: (caller: Caller) => FleetwireError | undefined;
}

interface Checked {
  readonly caller: Caller;
  readonly endMs: number;
}

/** How far clocks may be apart. */
const SKEW_S = 5;
/** How long a key that was dropped from trust.json may still be believed. */
const TRUST_AGE_MS = 4000;

/** Believes these keys, each until its `exp`. */
export function createTokenVerifier(jwks: PublishedKeys, o: VerifierOptions = {}): TokenVerifier {
  const keys = createLocalJWKSet({ keys: jwks.keys.map((key) => ({ ...key })) } as JSONWebKeySet);
  const ends = new Map(jwks.keys.map(({ kid, exp = Number.POSITIVE_INFINITY }) => [kid, exp * 1000]));
  const nowMs = o.nowMs ?? Date.now;
  const remembered = new Map<string, Checked>();

  async function check(token: string): Promise<Checked> {
    const { payload, protectedHeader } = await jwtVerify(token, keys, {
      algorithms: ['EdDSA'],
      audience: TOKEN_AUDIENCE,
      requiredClaims: ['iss', 'sub', 'iat', 'exp', 'org', 'scopes'],
      clockTolerance: SKEW_S,
      currentDate: new Date(nowMs()),
    });
    const keyEndMs = ends.get(protectedHeader.kid) ?? 0;
    if (nowMs() >= keyEndMs) throw invalid('its key is out of use');
    const caller = callerOf(payload, protectedHeader.kid);
    if (caller === undefined) throw invalid('its issuer may not issue such a token');
    return { caller, endMs: Math.min((payload.exp! + SKEW_S) * 1000, keyEndMs) };
  }

  async function known(token: string): Promise<Caller> {
    const before = remembered.get(token);
    if (before !== undefined && nowMs() < before.endMs) return before.caller;
    try {
      const checked = await check(token);
      remembered.set(token, checked);
      keepNewest(remembered, o.rememberedMax ?? 1000);
      return checked.caller;
    } catch (error) {
      remembered.delete(token);
      throw asTokenError(error);
    }
  }

  return {
    verify: async (token) => {
      const caller = await known(token);
      const refusal = o.refused?.(caller);
      if (refusal !== undefined) throw refusal;
      return caller;
    },
  };
}

/**
 * Believes the keys that trust.json says are to be believed, as it changes: a new key at once, a dropped one for less
 * than 5 s, nor the tokens by it that were remembered.
 */
export function createLiveVerifier(trust: LiveTrust, o: VerifierOptions = {}): TokenVerifier {
  let of: Trust | undefined;
  let verifier: TokenVerifier;
  const current = () => {
    if (of !== trust.current) {
      of = trust.current;
      verifier = createTokenVerifier(publishedKeys(of, (o.nowMs ?? Date.now)()), o);
    }
    return verifier;
  };
  return {
    verify: async (token) => {
      await trust.fresh(TRUST_AGE_MS);
      const first = current();
      try {
        return await first.verify(token);
      } catch (error) {
        if (!isUnknownKey(error)) throw error;
        await trust.seek();
        if (current() === first) throw error;
        return current().verify(token);
      }
    },
  };
}

const isUnknownKey = (error: unknown) =>
  error instanceof FleetwireError && error.cause instanceof errors.JWKSNoMatchingKey;

/** Org issues for users, the registry for nodes, each service for itself; undefined: the issuer overstepped. */
function callerOf(payload: JWTPayload, kid: string | undefined): Caller | undefined {
  const { iss, sub, org, scopes, key = '', iat, ims = iat! * 1000 } = payload as JWTPayload & Unchecked;
  if (kid === undefined || iss !== serviceOfKid(kid) || typeof sub !== 'string' || typeof org !== 'string')
    return undefined;
  if (!Array.isArray(scopes) || !scopes.every((scope): scope is string => typeof scope === 'string'))
    return undefined;
  if (typeof key !== 'string' || typeof ims !== 'number') return undefined;
  const caller = (kind: Caller['kind']): Caller => ({
    kind,
    subject: sub,
    org,
    scopes,
    key,
    issuedAtMs: ims,
  });
  if (scopes.includes('service'))
    return scopes.length === 1 && sub === iss && org === '' ? caller('service') : undefined;
  if (org === '') return undefined;
  if (scopes.includes('node')) return scopes.length === 1 && iss === 'registry' ? caller('node') : undefined;
  return iss === 'org' ? caller('user') : undefined;
}

/** What the issuer put in, of whatever type. */
type Unchecked = Record<'org' | 'scopes' | 'key' | 'ims', unknown>;

function invalid(why: string, cause?: unknown): FleetwireError {
  return new FleetwireError('unauthenticated', 'TOKEN_INVALID', `the token is not valid: ${why}`, {
    help: 'Sign in again.',
    cause,
  });
}

function asTokenError(error: unknown): FleetwireError {
  if (error instanceof FleetwireError) return error;
  if (error instanceof errors.JWTExpired)
    return new FleetwireError('unauthenticated', 'TOKEN_EXPIRED', 'the token has expired', {
      help: 'Get a new one with your API key.',
    });
  return invalid(error instanceof Error ? error.message : String(error), error);
}
