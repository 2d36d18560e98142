/** What it means that the registry does not take this node (any more), or is not to be believed, and what to do about it. */

import { FleetwireError } from '@fleetwire/kernel';

const ANEW = (dir: string) =>
  `stop this node, move ${dir} away (what was not sent stays in it) and join with a new join token`;

const AWAY: readonly string[] = ['unavailable', 'deadline_exceeded'];

/** What HELLO is refused with when trying again with the same identity only helps once somebody has acted. */
const REASONS: Readonly<Record<string, (dir: string) => string>> = {
  NODE_UNKNOWN: ANEW,
  NODE_REMOVED: ANEW,
  ORG_CLOSED: (dir) => `wait until the org is restored, or ${ANEW(dir)}`,
  OWNER_DEPARTED: (dir) =>
    `whoever brought this machine in has left the org: have an admin adopt it, or ${ANEW(dir)}`,
  IDENTITY_IN_USE: (dir) =>
    `another machine works, or worked until lately, with a copy of ${dir}: end one of the two, and the other is taken ` +
    `in a while; to keep both, here ${ANEW(dir)}`,
  KEY_RETIRED: (dir) =>
    `identity.json in ${dir} is older than the key that this node has now: put back its newest copy, or ${ANEW(dir)}`,
};

/** The registry cannot be reached, or does not answer in time; any other error is its word. */
export function isAway(error: unknown): error is FleetwireError {
  return error instanceof FleetwireError && AWAY.includes(error.kind);
}

/** Is this the registry's word that the node has no place there? Then nothing of the hub is for it. */
export function isRefusal(error: unknown): error is FleetwireError {
  return error instanceof FleetwireError && Object.hasOwn(REASONS, error.reason);
}

/** The refusal that the answer to a heartbeat names; undefined for none, and for one that HELLO has to explain. */
export function refusalOfHeartbeat(reason: string): FleetwireError | undefined {
  if (!Object.hasOwn(REASONS, reason)) return undefined;
  const message = 'the registry does not take this node any more';
  return new FleetwireError('failed_precondition', reason, message);
}

/** For people: the reason, and what to do. Mail of a folder that is moved away is not lost, it stays in that folder. */
export function refusalText({ reason, message }: FleetwireError, dir: string): string {
  return `${reason}: ${message}; ${REASONS[reason]?.(dir) ?? ANEW(dir)}`;
}

export function isUnproven(error: unknown): boolean {
  return error instanceof FleetwireError && error.reason === 'HUB_UNPROVEN';
}

/** The hub is not, or does not prove that it is, the one that this node joined. No connection follows from what it says. */
export function hubUnproven(why: string, cause?: unknown): FleetwireError {
  return new FleetwireError('failed_precondition', 'HUB_UNPROVEN', `the hub is not to be trusted: ${why}`, {
    help:
      'Look at what answers at the address of the registry. If the hub was set up anew or brought back to an earlier ' +
      'release on purpose: stop this node, take hubKey out of its identity.json and start it.',
    cause,
  });
}
