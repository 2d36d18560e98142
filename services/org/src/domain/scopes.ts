/** What a caller may do: scopes of people's tokens, and who counts as a service. */

import type { Caller } from '@fleetwire/identity';
import { FleetwireError, printable } from '@fleetwire/kernel';

export const SCOPES = ['admin', 'send', 'read', 'node-join'] as const;
export type Scope = (typeof SCOPES)[number];

/** The scopes in their fixed order, each once; throws UNKNOWN_SCOPE or NO_SCOPE. */
export function checkScopes(wanted: readonly string[]): Scope[] {
  const unknown = wanted.find((scope) => !(SCOPES as readonly string[]).includes(scope));
  if (unknown !== undefined) {
    throw new FleetwireError(
      'invalid_argument',
      'UNKNOWN_SCOPE',
      `there is no scope "${printable(unknown)}"`,
      {
        help: `Use any of: ${SCOPES.join(', ')}.`,
      },
    );
  }
  if (wanted.length === 0) {
    throw new FleetwireError('invalid_argument', 'NO_SCOPE', 'a key without a scope could do nothing', {
      help: `Give at least one of: ${SCOPES.join(', ')}.`,
    });
  }
  return SCOPES.filter((scope) => wanted.includes(scope));
}

/** What a token carries: `admin` stands for all scopes, so that no other service has to know that rule. */
export function effectiveScopes(scopes: readonly string[]): string[] {
  return scopes.includes('admin') ? [...SCOPES] : [...scopes];
}

/** The caller as a person or program of an org with one of `anyOf`; throws NOT_A_USER or SCOPE_MISSING. */
export function requireScope(caller: Caller, ...anyOf: Scope[]): Caller {
  if (caller.kind !== 'user') {
    throw new FleetwireError('permission_denied', 'NOT_A_USER', `this call is not for a ${caller.kind}`, {
      help: 'Exchange an API key for a token and use that.',
    });
  }
  if (anyOf.length === 0 || anyOf.some((scope) => caller.scopes.includes(scope))) return caller;
  throw new FleetwireError(
    'permission_denied',
    'SCOPE_MISSING',
    `this call needs the scope ${anyOf.join(' or ')}`,
    {
      help: 'Use an API key that has it; an admin can make one.',
      details: { needed: anyOf.join(','), present: caller.scopes.join(',') },
    },
  );
}

/** Throws SERVICE_ONLY unless the caller is the service of that name. */
export function requireService(caller: Caller, name: string): void {
  if (caller.kind === 'service' && caller.subject === name) return;
  throw new FleetwireError('permission_denied', 'SERVICE_ONLY', `this call is for the ${name} service only`);
}
