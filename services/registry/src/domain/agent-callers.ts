/** Who may change agents and channels. */

import type { Caller } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';

/** Who acts, in which org; of a node, for its own agents only. */
export interface Acting {
  readonly org: string;
  /** Id of the user or node. */
  readonly actor: string;
  /** Undefined: a person, who may act for all agents of the org. */
  readonly node: string | undefined;
}

/** A node, or a person with one of the scopes; throws SCOPE_MISSING, or NOT_A_PERSON for a service. */
export function requireActing(caller: Caller, scopes: readonly string[]): Acting {
  if (caller.kind === 'node') return { org: caller.org, actor: caller.subject, node: caller.subject };
  if (caller.kind === 'user') return { ...requirePerson(caller, scopes), node: undefined };
  throw notForServices(caller.kind);
}

/** A person with one of the scopes; throws NOT_A_PERSON, SCOPE_MISSING. */
export function requirePerson(
  caller: Caller,
  scopes: readonly string[],
): { readonly org: string; readonly actor: string } {
  if (caller.kind !== 'user') throw notForServices(caller.kind);
  if (!caller.scopes.some((scope) => scopes.includes(scope))) {
    const message = `this call needs the scope ${scopes.join(' or ')}`;
    throw new FleetwireError('permission_denied', 'SCOPE_MISSING', message, {
      help: 'Use an API key that has it; an admin can make one.',
      details: { needed: scopes.join(','), present: caller.scopes.join(',') },
    });
  }
  return { org: caller.org, actor: caller.subject };
}

const notForServices = (kind: string): FleetwireError =>
  new FleetwireError('permission_denied', 'NOT_A_PERSON', `this call is not for a ${kind}`, {
    help: 'Make it with the API key of a person.',
  });
