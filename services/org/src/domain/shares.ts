/** Of what the org may have of something, how much one member may take, so that nobody uses up what others need. */

import { FleetwireError } from '@fleetwire/kernel';

const SHARE = 0.1;

/** Throws resource_exhausted MEMBER_SHARE when a member has their share of `max` already. Admins have all of it. */
export function refuseShare(own: number, max: number, what: string): void {
  const share = Math.ceil(max * SHARE);
  if (own < share) return;
  throw new FleetwireError(
    'resource_exhausted',
    'MEMBER_SHARE',
    `you have ${own} of the org's ${max} ${what}`,
    {
      help: `A member may have ${share} of them. Give up some, or ask an admin.`,
    },
  );
}
