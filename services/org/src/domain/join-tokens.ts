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

/** One that ended with its maker's membership or API key is `expired`. */
const STATUSES = ['open', 'used', 'revoked', 'expired'] as const;
export type JoinTokenStatus = (typeof STATUSES)[number];

/** Of a request: undefined stands for all. Throws INVALID_STATUS. */
export function checkJoinTokenStatus(status: string): JoinTokenStatus | undefined {
  if (status === '') return undefined;
  const known = STATUSES.find((each) => each === status);
  if (known !== undefined) return known;
  throw new FleetwireError('invalid_argument', 'INVALID_STATUS', 'there is no such status of a join token', {
    help: `Use one of: ${STATUSES.join(', ')}; or leave it empty for all.`,
    violations: [{ field: 'status', description: `must be one of ${STATUSES.join(', ')}` }],
  });
}

interface Ends {
  readonly usedBy: string | null;
  readonly expiresAtMs: number;
  readonly revokedAtMs: number | null;
}

export function joinTokenStatus(token: Ends, nowMs: number): JoinTokenStatus {
  if (token.usedBy !== null) return 'used';
  if (token.revokedAtMs !== null) return 'revoked';
  return token.expiresAtMs > nowMs ? 'open' : 'expired';
}

/**
 * Why a token that could not be spent could not; undefined when this very machine spent it before, and whoever made it is a
 * member still: a machine that has not joined by then does not do so in the name of somebody who has left.
 */
export function refusal(
  token: Ends & { readonly byMember: boolean },
  publicKey: string,
  nowMs: number,
): FleetwireError | undefined {
  if (token.usedBy === publicKey) return token.byMember ? undefined : ownerDeparted();
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
  if (token.revokedAtMs !== null) {
    return new FleetwireError('unauthenticated', 'JOIN_TOKEN_REVOKED', 'this join token was revoked', {
      help: 'Ask an admin of the org, or make a new join token.',
    });
  }
  if (token.expiresAtMs <= nowMs) {
    return new FleetwireError('unauthenticated', 'JOIN_TOKEN_EXPIRED', 'this join token has expired', {
      help: 'Make a new join token.',
      details: { expired_at_ms: String(token.expiresAtMs) },
    });
  }
  return invalidJoinToken();
}

function ownerDeparted(): FleetwireError {
  return new FleetwireError(
    'unauthenticated',
    'OWNER_DEPARTED',
    'who made this join token is no member of the org any more',
    { help: 'Ask a member of the org for a new join token.' },
  );
}
