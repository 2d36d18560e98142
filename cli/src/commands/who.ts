/** who: who can be written to now, where somebody is, who can do something; by a node's word while the hub is away. */

import type { DirectoryResponse } from '@fleetwire/gen/node';
import { Agent, Node } from '@fleetwire/gen/registry';
import { FleetwireError, foldName } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { type CommandContext, notAnswering } from '../command-context.ts';
import { allAgents, allNodes, checkAgent } from '../fleet.ts';
import { agentDocument, agentRemarks } from '../fleet-documents.ts';
import type { Hub } from '../hub.ts';
import { type Kind, pick } from '../lookup.ts';
import { ago, isoOrNull } from '../output.ts';
import { capabilityOf } from '../profile-options.ts';
import { show, type View, WATCH } from '../watch.ts';

export function addWhoCommand(program: Command, action: Action): void {
  program
    .command('who')
    .description('who can be written to now; where an agent is; who can do something, best first')
    .argument('[name]', 'of an agent, or ?CAPABILITY, between quotes')
    .option(...WATCH)
    .action(action(who));
}

/** What is asked for. */
export type Wanted =
  | { readonly kind: 'all' }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'capability'; readonly capability: string };

/** Throws invalid_argument INVALID_NAME, INVALID_OPTION. */
function wantedOf(given: string | undefined): Wanted {
  if (given === undefined) return { kind: 'all' };
  if (given.startsWith('?'))
    return { kind: 'capability', capability: capabilityOf('?CAPABILITY', given.slice(1)) };
  return { kind: 'name', name: checkAgent(given) };
}

async function who(context: CommandContext, options: { watch?: boolean }, given?: string): Promise<void> {
  const wanted = wantedOf(given);
  await show(context, options.watch, () => look(context, wanted));
}

async function look(context: CommandContext, wanted: Wanted): Promise<View> {
  try {
    return viewOf(await byHub(await context.hub(), wanted), wanted);
  } catch (error) {
    if (!isAway(error)) throw error;
    // Who knows nothing of the hub says nothing of why it is away either.
    const told = await byNode(context).catch(() => undefined);
    if (told === undefined || told.asOfMs === 0) throw error;
    context.output.progress(`${notAnswering(error)}; this is what a node of this machine knows`);
    return viewOf(chosen(inDirectory(told), wanted), wanted, told);
  }
}

/** Nobody answers, or this machine knows of no hub. */
const isAway = (error: unknown): error is FleetwireError =>
  error instanceof FleetwireError &&
  (error.kind === 'unavailable' || error.kind === 'deadline_exceeded' || error.reason === 'CONTEXT_MISSING');

const NODE_MS = 3000;

const byNode = async (context: CommandContext): Promise<DirectoryResponse> =>
  (await context.anyNode()).directory({}, { deadlineMs: NODE_MS });

async function byHub(hub: Hub, wanted: Wanted): Promise<readonly Agent[]> {
  if (wanted.kind === 'name') return [(await hub.registry.lookupAgent({ name: wanted.name })).agent!];
  if (wanted.kind === 'all') return chosen({ agents: await allAgents(hub), nodes: [] }, wanted);
  const [agents, nodes] = await Promise.all([
    allAgents(hub, { capability: wanted.capability }),
    allNodes(hub),
  ]);
  return chosen({ agents, nodes }, wanted);
}

interface Known {
  readonly agents: readonly Agent[];
  readonly nodes: readonly Node[];
}

/** Throws not_found UNKNOWN_AGENT. */
export function chosen({ agents, nodes }: Known, wanted: Wanted): readonly Agent[] {
  if (wanted.kind === 'name') return [pick(AGENT, wanted.name, agents)];
  if (wanted.kind === 'all')
    return agents.filter(({ status }) => status === 'online' || status === 'draining');
  const able = agents.filter(({ profile }) => profile?.capabilities.includes(wanted.capability));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const rank = (agent: Agent): readonly [number, number, number] => {
    const node = byId.get(agent.node);
    const passedOver = node?.draining === true || agent.moving;
    return [agent.status === 'online' ? 0 : 1, passedOver ? 1 : 0, node?.load ?? 0];
  };
  // The registry tells of draining by node; no work by capability goes there.
  const shown = (agent: Agent): Agent =>
    agent.status === 'online' && byId.get(agent.node)?.draining === true
      ? { ...agent, status: 'draining' }
      : agent;
  return able
    .map((agent) => ({ agent, rank: rank(agent) }))
    .sort((a, b) => compare(a.rank, b.rank) || (foldName(a.agent.name) < foldName(b.agent.name) ? -1 : 1))
    .map(({ agent }) => shown(agent));
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at === -1 ? 0 : a[at]! - b[at]!;
}

const AGENT: Kind<Agent> = {
  what: 'agent',
  prefix: 'agent',
  reason: 'UNKNOWN_AGENT',
  list: 'fleetwire agent list',
  idOf: (row) => row.id,
  nameOf: (row) => row.name,
};

/** Routes, as the registry would tell of them; what they do not say is empty. */
function inDirectory(told: DirectoryResponse): Known {
  const nodes = told.nodes.map(({ node: id, name, online, draining, load }) =>
    Node.fromPartial({ id, name, status: online ? 'online' : 'offline', draining, load }),
  );
  const status = new Map(nodes.map((node) => [node.id, node.status]));
  const agents = told.agents.map((route) =>
    Agent.fromPartial({
      id: route.agent,
      name: route.name,
      node: route.node,
      nodeName: route.nodeName,
      status: route.suspended ? 'suspended' : (status.get(route.node) ?? 'offline'),
      epoch: route.epoch,
      moving: route.movingFrom !== '',
      profile: { capabilities: route.capabilities },
    }),
  );
  return { agents, nodes };
}

const line = (agent: Agent) => {
  const said = [...(agent.status === 'online' ? [] : [agent.status]), ...agentRemarks(agent)].join(', ');
  return `${agent.name}@${agent.nodeName}${said === '' ? '' : ` (${said})`}`;
};

function viewOf(agents: readonly Agent[], wanted: Wanted, told?: DirectoryResponse): View {
  const nobody = wanted.kind === 'capability' ? `nobody can do ${wanted.capability}` : 'nobody is online';
  const rows = agents.map(line);
  const asOf = told === undefined ? undefined : { as_of: isoOrNull(told.asOfMs), current: told.current };
  return {
    document: { agents: agents.map(agentDocument), ...(asOf === undefined ? {} : { directory: asOf }) },
    lines: [
      ...(rows.length === 0 ? [nobody] : rows),
      ...(told === undefined ? [] : [`as the hub said ${ago(told.asOfMs)}`]),
    ],
    rows,
  };
}
