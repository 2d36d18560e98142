/** Who may do what at delivery: all of an org read its history, its admins decide about its dead letters. */

import type { Caller } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import type { RpcContext } from '@fleetwire/rpc';

/** Every token of a user or node names an org; a service has none of its own. Throws ORG_REQUIRED. */
export function orgOf(context: RpcContext<Caller>): string {
  const org = context.caller?.org ?? '';
  if (org !== '') return org;
  throw new FleetwireError('permission_denied', 'ORG_REQUIRED', 'history is read on behalf of an org', {
    help: 'Call with the token of a user or of a node.',
  });
}

/** The org and the user of a person with scope admin; throws SCOPE_MISSING. */
export function adminOf({ caller }: RpcContext<Caller>): { readonly org: string; readonly user: string } {
  if (caller?.kind === 'user' && caller.scopes.includes('admin'))
    return { org: caller.org, user: caller.subject };
  throw new FleetwireError(
    'permission_denied',
    'SCOPE_MISSING',
    'dead letters are replayed and dropped by people with the scope admin',
    {
      help: 'Use an API key that has it; an admin can make one.',
      details: { needed: 'admin', present: caller?.scopes.join(',') ?? '' },
    },
  );
}
