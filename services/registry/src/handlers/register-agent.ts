/** RegisterAgent: one insert decides who has a name; the routing table has the agent before the answer goes out. */

import type { RegisterAgentRequest, RegisterAgentResponse } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { checkName } from '@fleetwire/kernel';
import { checkAdapter, readProfile } from '../domain/profile.ts';
import type { PlacedAgent } from '../store/agents.ts';
import { shownAgent } from './find-agents.ts';
import type { RegistryParts } from './parts.ts';
import { place } from './placing.ts';
import { callingNode } from './standing.ts';

export async function registerAgent(
  parts: RegistryParts,
  request: RegisterAgentRequest,
  caller: Caller,
): Promise<RegisterAgentResponse> {
  const node = await callingNode(parts, caller);
  const { name, adapter } = request;
  checkName(name, 'agent');
  checkAdapter(adapter);
  const profile = request.profile && readProfile(request.profile);
  const { agent, fresh } = await place(parts, node, { name, adapter, profile }, request.takeOver);
  await parts.routes.ensure(agent, fresh);
  if (!agent.suspended) parts.suspensions.registered(node.org, [agent.name]);
  if (fresh) tellRegistered(parts, agent);
  return { agent: shownAgent(parts, agent) };
}

export function tellRegistered({ announcer }: Pick<RegistryParts, 'announcer'>, agent: PlacedAgent): void {
  const { id: target, org, name, node, nodeName } = agent;
  const details = { name, node, node_name: nodeName };
  announcer.tell({ org, name: 'agent_registered', target, actor: node, details });
}
