/** Who may do what at the registry. */

import type { Caller } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';

/** The node and org of a node's token; throws NOT_A_NODE. */
export function requireNode(caller: Caller): { node: string; org: string } {
  if (caller.kind === 'node') return { node: caller.subject, org: caller.org };
  throw new FleetwireError('permission_denied', 'NOT_A_NODE', `this call is not for a ${caller.kind}`, {
    help: 'Only nodes make it, with the token that HELLO gave them.',
  });
}

/** The org and the user of a person with scope admin; throws SCOPE_MISSING. */
export function requireAdmin(caller: Caller): { org: string; user: string } {
  if (caller.kind === 'user' && caller.scopes.includes('admin'))
    return { org: caller.org, user: caller.subject };
  throw new FleetwireError(
    'permission_denied',
    'SCOPE_MISSING',
    'this call is for people with the scope admin',
    {
      help: 'Use an API key that has it; an admin can make one.',
      details: { needed: 'admin', present: caller.scopes.join(',') },
    },
  );
}

const READING = ['read', 'send', 'admin'];

/**
 * The org that the caller may read: a node's own, a user's own with scope read, send or admin; a service names one.
 * Throws SCOPE_MISSING, ORG_MISSING or ORG_NOT_YOURS.
 */
export function requireReader(caller: Caller, named = ''): string {
  if (caller.kind === 'service') {
    if (named !== '') return named;
    throw new FleetwireError(
      'invalid_argument',
      'ORG_MISSING',
      'a service must name the org that it asks about',
    );
  }
  if (named !== '' && named !== caller.org)
    throw new FleetwireError('permission_denied', 'ORG_NOT_YOURS', 'this call reads your own org only');
  if (caller.kind === 'node' || caller.scopes.some((scope) => READING.includes(scope))) return caller.org;
  throw new FleetwireError('permission_denied', 'SCOPE_MISSING', 'this call needs the scope read or send', {
    help: 'Use an API key that has it; an admin can make one.',
    details: { needed: READING.join(','), present: caller.scopes.join(',') },
  });
}
