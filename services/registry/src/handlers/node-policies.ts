/** NodePolicies: what a node needs to decide, as everybody else does, about mail between its own agents. */

import type { OrgAccess } from '@fleetwire/access';
import { OrgState } from '@fleetwire/gen/access';
import type { NodePoliciesRequest, NodePoliciesResponse } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { requireNode } from '../domain/callers.ts';
import { requireOpen } from '../domain/orgs.ts';
import type { RegistryParts } from './parts.ts';

/** Made once for each version, however many nodes ask. */
const answers = new WeakMap<OrgAccess, OrgState>();

/** Throws NOT_A_NODE, ORG_CLOSED. */
export async function nodePolicies(
  parts: Pick<RegistryParts, 'orgs'>,
  request: NodePoliciesRequest,
  caller: Caller,
): Promise<NodePoliciesResponse> {
  const { org } = requireNode(caller);
  const access = requireOpen(parts.orgs, org);
  if (access === undefined || access.version <= request.version) return { state: undefined };
  const known = answers.get(access);
  if (known !== undefined) return { state: known };
  const state = forNodes(access.state);
  answers.set(access, state);
  return { state };
}

/** Heartbeats tell of revocations; who left the org, and who wrote a policy and why, is no business of a node's. */
function forNodes({ org, version, status, plan, limits, policies, assignments }: OrgState): OrgState {
  const plain = { description: '', createdBy: '', createdAtMs: 0, updatedAtMs: 0 };
  const rules = policies.map((policy) => ({ ...policy, ...plain }));
  return OrgState.fromPartial({ org, version, status, plan, limits, policies: rules, assignments });
}
