/** Whether the broker keeps the orgs of a fabric apart, and what to do where it does not. */

import type { FabricRecord } from '@fleetwire/contract';
import { FleetwireError } from '@fleetwire/kernel';

/** A server that was seen to keep acknowledgements apart. */
const SAFE_NATS = '2.15.1';

/**
 * Why these servers should not have a second org: a node could delete waiting mail of other orgs by its acknowledgements.
 * Undefined: bootstrap saw that it cannot. What it saw of another version says nothing.
 */
export function tenancyFault(record: FabricRecord, serverVersion: string): FleetwireError | undefined {
  const { servers } = record;
  if (servers?.acks_apart === true && servers.version === serverVersion) return undefined;
  const known = servers?.version === serverVersion;
  const said = known
    ? `nats-server ${serverVersion} does not keep acknowledgements apart: nodes could delete mail of other orgs`
    : `bootstrap has not looked yet whether nats-server ${serverVersion} keeps acknowledgements of orgs apart`;
  const allow =
    'if all orgs trust each other, set FLEETWIRE_ORG_ALLOW_UNSAFE_TENANCY=true (org.allow_unsafe_tenancy).';
  const help = known
    ? `Bring nats-server to a version that does (${SAFE_NATS} was tested), bootstrap again and restart org; or, ${allow}`
    : `Run \`fleetwire bootstrap --apply\` and restart org; or, ${allow}`;
  return new FleetwireError('failed_precondition', 'NATS_TENANCY_UNSAFE', said, {
    help,
    details: { version: serverVersion, tested: SAFE_NATS },
  });
}
