/** Scopes: what the tokens of people and programs may be used for. */

import { FleetwireError, printable } from '@fleetwire/kernel';

/** `account`: what a person does for themselves: own keys, workspaces and policies, and leaving. */
export const SCOPES = ['admin', 'account', 'send', 'read', 'node-join'] as const;
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

export function scopeMissing(needed: Scope, present: readonly string[]): FleetwireError {
  return new FleetwireError('permission_denied', 'SCOPE_MISSING', `this call needs the scope ${needed}`, {
    help:
      needed === 'admin'
        ? 'It takes an admin of the org, with an API key that has the scope admin.'
        : 'Make a key that has it, with: fleetwire key create',
    details: { needed, present: present.join(',') },
  });
}
