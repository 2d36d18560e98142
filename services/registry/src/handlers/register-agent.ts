/** RegisterAgent: one insert decides who has a name; the routing table has the agent before the answer goes out. */

import type { RegisterAgentRequest, RegisterAgentResponse } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { checkName } from '@fleetwire/kernel';
import { requireNode } from '../domain/callers.ts';
import { nodeUnknown } from '../domain/errors.ts';
import { requireOpen } from '../domain/orgs.ts';
import { checkAdapter, readProfile } from '../domain/profile.ts';
import { shownAgent } from './find-agents.ts';
import type { RegistryParts } from './parts.ts';
import { place } from './placing.ts';

export async function registerAgent(
  parts: RegistryParts,
  request: RegisterAgentRequest,
  caller: Caller,
): Promise<RegisterAgentResponse> {
  const { node: nodeId, org } = requireNode(caller);
  const { name, adapter } = request;
  checkName(name, 'agent');
  checkAdapter(adapter);
  const profile = request.profile && readProfile(request.profile);
  requireOpen(parts.orgs, org);
  const node = await parts.nodes.byId(nodeId);
  if (node === null || node.org !== org) throw nodeUnknown();
  const { agent, fresh } = await place(parts, node, { name, adapter, profile }, request.takeOver);
  await parts.routes.ensure(agent, fresh);
  if (!agent.suspended) parts.suspensions.registered(org, [agent.name]);
  if (fresh) {
    const details = { name: agent.name, node: node.id, node_name: node.name };
    parts.announcer.tell({
      org,
      name: 'agent_registered',
      target: agent.id,
      actor: node.id,
      details,
      id: `agent_registered-${agent.id}`,
    });
  }
  return { agent: shownAgent(parts, agent) };
}
