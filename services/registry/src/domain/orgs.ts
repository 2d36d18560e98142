/** What follows from the state of an org for those who come from it. */

import type { OrgAccess } from '@fleetwire/access';
import { FleetwireError } from '@fleetwire/kernel';
import type { Orgs } from '@fleetwire/runtime';

/** Its deletion has begun, or is over. One that is not known yet is open: org publishes by and by. */
export function isClosed(org: OrgAccess | undefined): boolean {
  return org !== undefined && org.status !== 'active';
}

/** What is known of an org that is open; throws ORG_CLOSED. */
export function requireOpen(orgs: Orgs, org: string): OrgAccess | undefined {
  const access = orgs.get(org);
  if (isClosed(access)) throw orgClosed(org);
  return access;
}

export const orgClosed = (org: string): FleetwireError =>
  new FleetwireError('failed_precondition', 'ORG_CLOSED', 'the org of this node is deleted', {
    help: 'Join another org; within 30 days of its deletion, support can restore this one.',
    details: { org },
  });

/** The deletion of `org` that has come to where what belongs to it here must go; undefined: it stays. */
export function deletionUnderWay(org: OrgAccess | undefined): number | undefined {
  return org?.status === 'deleting' && org.state.clearing ? org.state.deletion : undefined;
}
