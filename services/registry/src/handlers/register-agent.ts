/** RegisterAgent: one insert decides who has a name; the routing table has the agent before the answer goes out. */

import type { RegisterAgentRequest, RegisterAgentResponse } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { checkName, FleetwireError, foldName, newId, nowMs } from '@fleetwire/kernel';
import { requireNode } from '../domain/callers.ts';
import { limitReached, nameTaken, nodeUnknown } from '../domain/errors.ts';
import { requireOpen } from '../domain/orgs.ts';
import { freeSuggestion, suggestions } from '../domain/suggest.ts';
import { takeOver } from '../moving/move-agent.ts';
import type { PlacedAgent } from '../store/agents.ts';
import type { NodeRow } from '../store/entities.ts';
import { shownAgent } from './find-agents.ts';
import type { RegistryParts } from './parts.ts';

const ADAPTERS = ['tmux', 'stdio', 'stream', 'mailbox'];
/** A holder may vanish between the insert that it refuses and the look at who it is. */
const TRIES = 3;

export async function registerAgent(
  parts: RegistryParts,
  request: RegisterAgentRequest,
  caller: Caller,
): Promise<RegisterAgentResponse> {
  const { node: nodeId, org } = requireNode(caller);
  const { name, adapter } = request;
  checkName(name, 'agent');
  checkAdapter(adapter);
  const refused = requireOpen(parts.orgs, org)?.acceptsAgent(name);
  if (refused !== undefined) throw refused;
  const node = await parts.nodes.byId(nodeId);
  if (node === null || node.org !== org) throw nodeUnknown();
  const agent = await place(parts, node, request);
  await parts.routes.ensure(agent);
  return { agent: shownAgent(parts, agent) };
}

async function place(
  parts: RegistryParts,
  node: NodeRow,
  { name, adapter, takeOver: taking }: RegisterAgentRequest,
): Promise<PlacedAgent> {
  const folded = foldName(name);
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const registeredAtMs = nowMs(parts.clock);
    const agent = { id: newId('agent', parts.random), org: node.org, name, folded, node: node.id, adapter };
    const perNode = parts.config.agents_per_node_max;
    const perOrg = parts.orgs.get(node.org)?.planLimit('agents');
    const outcome = await parts.agents.insert({ ...agent, registeredAtMs }, { perNode, perOrg });
    if (outcome === 'node_full') throw limitReached('AGENT_LIMIT', `the node has ${perNode} agents`);
    if (outcome === 'org_full') throw await beyondPlan(parts, node.org);
    if (outcome === 'node_gone') throw nodeUnknown();
    const holder = await parts.agents.byName(node.org, folded);
    if (holder === undefined) continue;
    const mine =
      holder.node === node.id || !taking ? holder : await takeOver(parts, holder, node.id, adapter);
    if (mine?.node !== node.id) throw await refusal(parts, name, holder, node);
    if (mine.adapter === adapter) return mine;
    await parts.agents.setAdapter(mine.id, adapter);
    return { ...mine, adapter };
  }
  throw new FleetwireError(
    'aborted',
    'NAME_IN_MOTION',
    `"${name}" is being registered and removed at this moment`,
    {
      retryAfterMs: 100,
    },
  );
}

/** PLAN_LIMIT, by what there is now; the plan may have changed a moment ago. */
async function beyondPlan(parts: RegistryParts, org: string): Promise<FleetwireError> {
  const refused = parts.orgs.get(org)?.admit('agent', await parts.agents.countOfOrg(org));
  return refused ?? limitReached('AGENT_LIMIT', 'the org had as many agents as its plan allows');
}

/** NAME_TAKEN, with who holds the name and one that is free at this moment. */
async function refusal(
  parts: RegistryParts,
  name: string,
  holder: PlacedAgent,
  node: NodeRow,
): Promise<FleetwireError> {
  const taken = await parts.agents.taken(node.org, suggestions(name, node.name).map(foldName));
  return nameTaken(holder.name, holder, freeSuggestion(name, node.name, taken, foldName));
}

function checkAdapter(adapter: string): void {
  if (ADAPTERS.includes(adapter)) return;
  throw new FleetwireError('invalid_argument', 'UNKNOWN_ADAPTER', 'there is no such adapter', {
    help: `Use one of: ${ADAPTERS.join(', ')}.`,
  });
}
