/** DeregisterAgent: frees a name; what waits for the agent does not pass to whoever takes the name next. */

import { routeKey } from '@fleetwire/contract';
import type { DeregisterAgentRequest, DeregisterAgentResponse } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { isId, nowMs } from '@fleetwire/kernel';
import { requireActing } from '../domain/agent-callers.ts';
import { agentUnknown, notTheOwner } from '../domain/errors.ts';
import type { RemovedAgent } from '../store/agents.ts';
import { isOnline, named } from './find-agents.ts';
import type { RegistryParts } from './parts.ts';

/** Idempotent by id: a call whose answer was lost, or which failed at the routing table, is made again. */
export async function deregisterAgent(
  parts: RegistryParts,
  request: DeregisterAgentRequest,
  caller: Caller,
): Promise<DeregisterAgentResponse> {
  const { node, org, actor } = requireActing(caller, ['admin']);
  const agent = await named(parts, org, request.agent, node === undefined);
  if (agent === undefined) {
    if (!isId('agent', request.agent)) throw agentUnknown(request.agent, []);
    await parts.routes.removeKey(routeKey(org, request.agent));
    return {};
  }
  if (node !== undefined && agent.node !== node) throw notTheOwner();
  if (node !== undefined) parts.churn.spend({ id: node, org }, 1);
  // A node that is there settles what waits for its agent by itself.
  const returning = isOnline(parts, agent) ? undefined : 'agent_removed';
  const gone = await parts.agents.remove({
    ids: [agent.id],
    node: agent.node,
    returning,
    dismissed: node === undefined,
    nowMs: nowMs(parts.clock),
  });
  await parts.routes.remove(org, agent.id);
  tellRemoved(parts, gone, actor, 'removed');
  if (actor !== agent.node) parts.nudge(org, agent.node, 'roster');
  return {};
}

/** `reason`: removed, swept, or roster when their node no longer has them. */
export function tellRemoved(
  parts: { readonly announcer: Pick<RegistryParts['announcer'], 'tell'> },
  gone: readonly RemovedAgent[],
  actor: string,
  reason: string,
): void {
  for (const { id, org, name, node } of gone) {
    const details = { name, node, reason };
    parts.announcer.tell({ org, name: 'agent_removed', target: id, actor, details });
  }
}
