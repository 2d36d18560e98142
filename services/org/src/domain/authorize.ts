/** The decision whether a caller may call, by the table of permissions. */

import type { Caller } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import type { Grant, Operation, Permission, Role } from './permissions.ts';
import { PERMISSIONS } from './permissions.ts';
import { scopeMissing } from './scopes.ts';

export const OPERATOR = 'operator';

/** Whoever runs the fabric. */
export const isOperator = ({ kind, subject }: Caller): boolean => kind === 'service' && subject === OPERATOR;

/** Undefined: it may go on to the membership. The first question, answered by the token alone. */
export function refusalByToken(operation: Operation, caller: Caller): FleetwireError | undefined {
  const permission: Permission = PERMISSIONS[operation];
  if (permission.for === 'anyone') return undefined;
  const isService = caller.kind === 'service';
  if (permission.for === 'services') {
    if (isService && permission.services.includes(caller.subject)) return undefined;
    return serviceOnly(permission.services);
  }
  if (permission.operator && isOperator(caller)) return undefined;
  if (caller.kind !== 'user') return notAUser(caller);
  const { scope } = permission;
  if (scope === undefined || caller.scopes.includes(scope)) return undefined;
  return scopeMissing(scope, caller.scopes);
}

/** The second question, by the role of today: what is granted, or why not. */
export function grantOf(operation: Operation, role: Role | undefined): Exclude<Grant, 'no'> | FleetwireError {
  const permission = PERMISSIONS[operation];
  if (permission.for !== 'members') return 'yes';
  if (role === undefined)
    return new FleetwireError('permission_denied', 'NOT_A_MEMBER', 'you are not a member of this org', {
      help: 'Ask an admin of the org for an invite.',
    });
  const grant = permission.grants[role];
  return grant === 'no' ? roleTooLow(operation, role) : grant;
}

/**
 * May the caller act on what belongs to others, or to the whole org? Where members may act on their own only, that takes a
 * role above theirs, and the scope admin as well: a key that was made for less does not reach further in an admin's hand.
 */
export function reachesOthers(operation: Operation, role: Role, scopes: readonly string[]): boolean {
  const permission = PERMISSIONS[operation];
  if (permission.for !== 'members') return true;
  if (permission.grants[role] !== 'yes') return false;
  return permission.grants.member !== 'own' || scopes.includes('admin');
}

/** Why a caller may not act on what belongs to somebody else. */
export function notOwn(operation: Operation, role: Role, scopes: readonly string[]): FleetwireError {
  return role === 'member' ? roleTooLow(operation, role) : scopeMissing('admin', scopes);
}

/** For what belongs to somebody else, or to the whole org, where a role may change only its own. */
export function roleTooLow(operation: Operation, role: Role): FleetwireError {
  const permission = PERMISSIONS[operation];
  const able = permission.for === 'members' ? permission.grants : undefined;
  const needed = able?.admin === 'yes' ? 'an admin' : 'the owner';
  return new FleetwireError('permission_denied', 'ROLE_TOO_LOW', `this needs ${needed} of the org`, {
    help: `Ask ${needed} to do it.`,
    details: { role },
  });
}

function serviceOnly(names: readonly string[]): FleetwireError {
  const who = names.join(' or ');
  const message =
    who === OPERATOR
      ? 'this call is for the operator of the fabric'
      : `this call is for the ${who} service only`;
  return new FleetwireError('permission_denied', 'SERVICE_ONLY', message);
}

function notAUser(caller: Caller): FleetwireError {
  return new FleetwireError('permission_denied', 'NOT_A_USER', `this call is not for a ${caller.kind}`, {
    help: 'Exchange an API key for a token and use that.',
  });
}
