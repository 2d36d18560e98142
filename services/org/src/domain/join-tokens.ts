/** Rules of join tokens: how long one may live, and why one cannot be spent. */

import { isNodePublicKey } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';

const TTL_DEFAULT_S = 3600;
const TTL_MAX_S = 604_800;

/** 0 stands for an hour; throws INVALID_TTL above a week. */
export function checkTtl(ttlS: number): number {
  if (ttlS === 0) return TTL_DEFAULT_S;
  if (ttlS <= TTL_MAX_S) return ttlS;
  throw new FleetwireError(
    'invalid_argument',
    'INVALID_TTL',
    `a join token cannot live for ${ttlS} seconds`,
    {
      help: `Use 1 to ${TTL_MAX_S} seconds.`,
    },
  );
}

/** Throws INVALID_PUBLIC_KEY unless it is a NATS public user key. */
export function checkPublicKey(key: string): void {
  if (isNodePublicKey(key)) return;
  throw new FleetwireError('invalid_argument', 'INVALID_PUBLIC_KEY', 'this is not a public user key', {
    help: 'Send the NATS public user key (56 characters, U first) of the machine that joins.',
  });
}

export function invalidJoinToken(): FleetwireError {
  return new FleetwireError('unauthenticated', 'JOIN_TOKEN_INVALID', 'this join token is not known', {
    help: 'Check that the whole token was given, or make a new one.',
  });
}

/** Why a token that could not be spent could not; undefined when this very machine spent it before. */
export function refusal(
  token: { readonly usedBy: string | null; readonly expiresAtMs: number },
  publicKey: string,
  nowMs: number,
): FleetwireError | undefined {
  if (token.usedBy === publicKey) return undefined;
  if (token.usedBy !== null) {
    return new FleetwireError(
      'unauthenticated',
      'JOIN_TOKEN_USED',
      'another machine joined with this token',
      {
        help: 'Make a new join token; each is good for one machine.',
      },
    );
  }
  if (token.expiresAtMs <= nowMs) {
    return new FleetwireError('unauthenticated', 'JOIN_TOKEN_EXPIRED', 'this join token has expired', {
      help: 'Make a new join token.',
      details: { expired_at_ms: String(token.expiresAtMs) },
    });
  }
  return invalidJoinToken();
}
