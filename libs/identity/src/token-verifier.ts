/** Checking tokens: by published keys alone, and only from the service that may issue that kind of token. */

import { FleetwireError } from '@fleetwire/kernel';
import type { JSONWebKeySet, JWTPayload } from 'jose';
import { createLocalJWKSet, errors, jwtVerify } from 'jose';
import { TOKEN_AUDIENCE } from './token-signer.ts';
import type { Trust } from './trust.ts';

/** Who calls. */
export interface Caller {
  readonly kind: 'user' | 'node' | 'service';
  /** Id of the user or node, or the name of the service. */
  readonly subject: string;
  /** Empty for services. */
  readonly org: string;
  readonly scopes: readonly string[];
}

export interface TokenVerifier {
  /** Rejects unauthenticated TOKEN_EXPIRED or TOKEN_INVALID. */
  verify(token: string): Promise<Caller>;
}

export interface VerifierOptions {
  /** Milliseconds since the epoch; default: this machine's clock. */
  readonly nowMs?: () => number;
  /** How far clocks may be apart, in seconds. Default 5. */
  readonly skewS?: number;
  /** Tokens remembered as good, so that a busy caller costs one signature check. Default 1,000. */
  readonly rememberedMax?: number;
}

export function createTokenVerifier(jwks: Trust['jwks'], o: VerifierOptions = {}): TokenVerifier {
  const keys = createLocalJWKSet({ keys: jwks.keys.map((key) => ({ ...key })) } as JSONWebKeySet);
  const nowMs = o.nowMs ?? Date.now;
  const skewS = o.skewS ?? 5;
  const remembered = new Map<string, { caller: Caller; endMs: number }>();

  async function check(token: string): Promise<{ caller: Caller; endMs: number }> {
    const { payload, protectedHeader } = await jwtVerify(token, keys, {
      algorithms: ['EdDSA'],
      audience: TOKEN_AUDIENCE,
      requiredClaims: ['iss', 'sub', 'exp', 'org', 'scopes'],
      clockTolerance: skewS,
      currentDate: new Date(nowMs()),
    });
    const caller = callerOf(payload, protectedHeader.kid);
    if (caller === undefined) throw invalid('its issuer may not issue such a token');
    return { caller, endMs: (payload.exp! + skewS) * 1000 };
  }

  return {
    verify: async (token) => {
      const known = remembered.get(token);
      if (known !== undefined && nowMs() < known.endMs) return known.caller;
      try {
        const checked = await check(token);
        remembered.set(token, checked);
        if (remembered.size > (o.rememberedMax ?? 1000)) remembered.delete(remembered.keys().next().value!);
        return checked.caller;
      } catch (error) {
        remembered.delete(token);
        throw asTokenError(error);
      }
    },
  };
}

/** Org issues for users, the registry for nodes, each service for itself; undefined: the issuer overstepped. */
function callerOf(payload: JWTPayload, kid: string | undefined): Caller | undefined {
  const { iss, sub, org, scopes } = payload as JWTPayload & { org: unknown; scopes: unknown };
  if (kid === undefined || iss !== kid || typeof sub !== 'string' || typeof org !== 'string')
    return undefined;
  if (!Array.isArray(scopes) || !scopes.every((scope): scope is string => typeof scope === 'string'))
    return undefined;
  const caller = (kind: Caller['kind']): Caller => ({ kind, subject: sub, org, scopes });
  if (scopes.includes('service'))
    return scopes.length === 1 && sub === kid && org === '' ? caller('service') : undefined;
  if (org === '') return undefined;
  if (scopes.includes('node')) return scopes.length === 1 && kid === 'registry' ? caller('node') : undefined;
  return kid === 'org' ? caller('user') : undefined;
}

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
