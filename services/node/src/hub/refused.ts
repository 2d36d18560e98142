/** What it means that the registry does not take this node (any more), and what to do about it. */

import { FleetwireError } from '@fleetwire/kernel';

/** What HELLO is refused with when trying again with the same identity only helps once somebody has acted. */
const REASONS: readonly string[] = ['NODE_UNKNOWN', 'ORG_CLOSED'];

/** Is this the registry's word that the node has no place there? Then nothing of the hub is for it. */
export function isRefusal(error: unknown): error is FleetwireError {
  return error instanceof FleetwireError && REASONS.includes(error.reason);
}

/** For people: the reason, and which folder to move away. Its mail is not lost then, it stays in that folder. */
export function refusalText({ reason, message }: FleetwireError, dir: string): string {
  const anew = `stop this node, move ${dir} away (what was not sent stays in it) and join with a new join token`;
  const what = reason === 'ORG_CLOSED' ? `wait until the org is restored, or ${anew}` : anew;
  return `${reason}: ${message}; ${what}`;
}
