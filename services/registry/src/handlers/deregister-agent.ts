/** DeregisterAgent: frees a name; what waits for the agent does not pass to whoever takes the name next. */

import type { DeregisterAgentRequest, DeregisterAgentResponse } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { isId } from '@fleetwire/kernel';
import { requireNode } from '../domain/callers.ts';
import { agentUnknown, notTheOwner } from '../domain/errors.ts';
import type { RegistryParts } from './parts.ts';

/** Idempotent: a call whose answer was lost, or which failed at the routing table, is made again. */
export async function deregisterAgent(
  parts: RegistryParts,
  request: DeregisterAgentRequest,
  caller: Caller,
): Promise<DeregisterAgentResponse> {
  const { node, org } = requireNode(caller);
  const { agent: id } = request;
  if (!isId('agent', id)) throw agentUnknown(id, []);
  if (!(await parts.agents.remove(org, id, node))) {
    const present = await parts.agents.byId(org, id);
    if (present !== undefined) throw notTheOwner();
  }
  await parts.routes.remove(org, id);
  return {};
}
