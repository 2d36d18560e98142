/** Rules of roles: what a key of a role may carry, and which changes of a membership are refused. */

import { FleetwireError, printable } from '@fleetwire/kernel';
import type { Role } from './permissions.ts';
import { SCOPES, type Scope } from './scopes.ts';

/** Of the first key of owners and members alike: all that their role allows, also a role that they get later. */
export const FIRST_KEY_SCOPES: readonly Scope[] = ['admin'];

/** Of what a key was made with, what its user's role allows today; `admin` stands for all that there is. */
export function scopesInForce(keyScopes: readonly string[], role: string): Scope[] {
  const all = keyScopes.includes('admin');
  return SCOPES.filter(
    (scope) => (all || keyScopes.includes(scope)) && (role !== 'member' || scope !== 'admin'),
  );
}

/** The role that an invite or a change may grant; throws INVALID_ROLE. Nobody becomes an owner this way. */
export function checkGrantedRole(role: string): Exclude<Role, 'owner'> {
  if (role === 'admin' || role === 'member') return role;
  throw new FleetwireError('invalid_argument', 'INVALID_ROLE', `"${printable(role)}" cannot be granted`, {
    help: role === 'owner' ? 'Ownership is handed over: transfer it instead.' : 'Use admin or member.',
    violations: [{ field: 'role', description: 'must be admin or member' }],
  });
}

export interface Standing {
  readonly userId: string;
  readonly role: string;
  readonly joinedAtMs: number;
}

/** Why `target` cannot be removed by `actor`; undefined: it can. */
export function removalRefusal(target: Standing, actor: string): FleetwireError | undefined {
  if (target.role === 'owner') {
    return new FleetwireError('failed_precondition', 'OWNER_CANNOT_BE_REMOVED', 'nobody removes the owner', {
      help: 'The owner can hand the org over, leave it, or delete it.',
    });
  }
  if (target.userId !== actor) return undefined;
  return new FleetwireError('failed_precondition', 'LEAVE_INSTEAD', 'you cannot remove yourself', {
    help: 'Leave the org instead.',
  });
}

/** Why the role of `target` cannot be changed; undefined: it can. */
export function roleChangeRefusal(target: Standing): FleetwireError | undefined {
  if (target.role !== 'owner') return undefined;
  return new FleetwireError('failed_precondition', 'OWNER_ROLE_FIXED', 'the owner keeps the role', {
    help: 'Hand the org over to another member instead.',
  });
}

/**
 * Who owns the org once `leaving` has left: undefined when the owner stays. An owner hands over to the admin who joined
 * first. Throws failed_precondition NO_ADMIN_TO_PROMOTE.
 */
export function successor(leaving: Standing, others: readonly Standing[]): Standing | undefined {
  if (leaving.role !== 'owner') return undefined;
  const admins = others.filter(({ role }) => role === 'admin');
  admins.sort((a, b) => a.joinedAtMs - b.joinedAtMs || (a.userId < b.userId ? -1 : 1));
  if (admins[0] !== undefined) return admins[0];
  const alone = others.length === 0;
  throw new FleetwireError(
    'failed_precondition',
    'NO_ADMIN_TO_PROMOTE',
    'nobody could own the org after you',
    {
      help: alone
        ? 'You are its only member: delete the org instead.'
        : 'Promote another member to admin before leaving.',
    },
  );
}
