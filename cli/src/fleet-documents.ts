/** What the registry answers, as documents with stable fields and as views. Moments are ISO 8601, null where there is none. */

import type { Agent, Channel, Node } from '@fleetwire/gen/registry';
import { ago, counted, isoOrNull, table, visible } from './output.ts';
import type { View } from './watch.ts';

export function agentDocument(agent: Agent): object {
  const { profile } = agent;
  return {
    id: agent.id,
    name: agent.name,
    status: agent.status,
    node: agent.node,
    node_name: agent.nodeName,
    adapter: agent.adapter,
    model: profile?.model ?? '',
    capabilities: profile?.capabilities ?? [],
    // Null: all of them.
    tools: profile?.tools?.tools ?? null,
    repo: profile?.repo ?? '',
    visibility: profile?.visibility || 'isolated',
    group: profile?.group ?? '',
    movable: profile?.movable ?? false,
    moving: agent.moving,
    // Null: it runs, or its node has started none.
    program_ended: programEnd(agent) ?? null,
    registered_at: isoOrNull(agent.registeredAtMs),
    last_seen_at: isoOrNull(agent.lastSeenAtMs),
  };
}

/** How the program ended that the agent's node has started; undefined: it runs, or it is none of that node's. */
const programEnd = (agent: Agent): string | undefined => agent.profile?.location?.details['ended'];

/** Besides its status; nobody will answer for an agent whose program has ended. */
export function agentRemarks(agent: Agent): string[] {
  const end = programEnd(agent);
  return [agent.moving ? 'moving' : '', end === undefined ? '' : `program ended: ${visible(end)}`].filter(
    (remark) => remark !== '',
  );
}

const agentState = (agent: Agent) => [agent.status, ...agentRemarks(agent)].join(', ');

const NO_AGENTS = 'no agents yet; start one with: fleetwire agent run NAME -- COMMAND';

export function agentsView(agents: readonly Agent[], nobody = NO_AGENTS): View {
  const document = { agents: agents.map(agentDocument) };
  const cells = (a: Agent) => [a.name, agentState(a), a.nodeName, a.adapter];
  const capabilities = (a: Agent) => a.profile?.capabilities.join(',') || '-';
  const lines =
    agents.length === 0
      ? [nobody]
      : table(
          ['NAME', 'STATUS', 'NODE', 'ADAPTER', 'CAPABILITIES', 'LAST SEEN', 'ID'],
          agents.map((a) => [...cells(a), capabilities(a), ago(a.lastSeenAtMs), a.id]),
        );
  return { document, lines, rows: agents.map((a) => [...cells(a), capabilities(a), a.id].join('  ')) };
}

export function nodeDocument(node: Node): object {
  const { facts } = node;
  return {
    id: node.id,
    name: node.name,
    status: node.status,
    version: node.version,
    protocol: node.protocol,
    platform: node.platform,
    host: node.host,
    owner: node.owner,
    agents: node.agents,
    load: node.load,
    draining: node.draining,
    rotating: node.rotating,
    moving: node.moving,
    contender: node.contender,
    capabilities: facts?.capabilities ?? [],
    tools: facts?.tools ?? [],
    cpus: facts?.cpus ?? 0,
    memory_bytes: facts?.memoryBytes ?? 0,
    joined_at: isoOrNull(node.joinedAtMs),
    last_seen_at: isoOrNull(node.lastSeenAtMs),
  };
}

/** What people should know of a node besides. */
function nodeState(node: Node): string {
  const more = [
    node.draining && node.status !== 'draining' ? 'draining' : '',
    node.rotating ? 'rotating its key' : '',
    node.moving > 0 ? `${counted(node.moving, 'agent')} moving` : '',
  ].filter((each) => each !== '');
  return [node.status, ...more].join(', ');
}

const protocolOf = (node: Node) => (node.protocol === 0 ? '-' : String(node.protocol));

/** Of a contender: somebody has copied a node's folder, or started it twice. */
export const warnings = (nodes: readonly Node[]): string[] =>
  nodes
    .filter(({ contender }) => contender !== '')
    .map(({ name, contender }) => `! ${name}: its identity was used elsewhere and refused: ${contender}`);

function nodesTable(nodes: readonly Node[]): string[] {
  return table(
    ['NAME', 'STATUS', 'AGENTS', 'LOAD', 'VERSION', 'PROTOCOL', 'HOST', 'LAST SEEN', 'ID'],
    nodes.map((n) => [
      n.name,
      nodeState(n),
      String(n.agents),
      String(n.load),
      n.version,
      protocolOf(n),
      n.host || '-',
      ago(n.lastSeenAtMs),
      n.id,
    ]),
  );
}

const nodeRow = (n: Node) =>
  [n.name, nodeState(n), counted(n.agents, 'agent'), n.version, n.host, n.id].join('  ');

export function nodesView(nodes: readonly Node[]): View {
  return {
    document: { nodes: nodes.map(nodeDocument) },
    lines: [...nodesTable(nodes), ...warnings(nodes)],
    rows: [...nodes.map(nodeRow), ...warnings(nodes)],
  };
}

/** Nodes, and what they come to. */
export function clusterView(nodes: readonly Node[]): View {
  const of = (status: string) => nodes.filter((node) => node.status === status).length;
  const sum = (count: (node: Node) => number) => nodes.reduce((all, node) => all + count(node), 0);
  const up = (node: Node) => node.status === 'online' || node.status === 'draining';
  const totals = {
    nodes: nodes.length,
    online: of('online'),
    draining: of('draining'),
    offline: of('offline'),
    shut_out: of('shut_out'),
    agents: sum((node) => node.agents),
    agents_online: sum((node) => (up(node) ? node.agents : 0)),
    // Each has two ends, of which one may be gone.
    moving: Math.ceil(sum((node) => node.moving) / 2),
    contenders: nodes.filter(({ contender }) => contender !== '').length,
    versions: versionsOf(nodes),
  };
  const states = (['online', 'draining', 'offline', 'shut_out'] as const)
    .filter((state) => totals[state] > 0)
    .map((state) => `${totals[state]} ${state.replace('_', ' ')}`);
  const said = [
    `${counted(totals.nodes, 'node')}${states.length === 0 ? '' : `: ${states.join(', ')}`}`,
    `${counted(totals.agents, 'agent')}, ${totals.agents_online} on nodes that are online`,
    ...(totals.moving === 0 ? [] : [`${counted(totals.moving, 'agent')} moving`]),
  ].join('; ');
  const view = nodesView(nodes);
  return {
    document: { totals, nodes: nodes.map(nodeDocument) },
    lines: nodes.length === 0 ? [said] : [said, '', ...view.lines],
    rows: [said, ...view.rows],
  };
}

function versionsOf(nodes: readonly Node[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { version } of nodes) found[version] = (found[version] ?? 0) + 1;
  return found;
}

export function channelDocument(channel: Channel): object {
  return {
    id: channel.id,
    name: channel.name,
    kind: channel.kind,
    members: channel.members,
    created_by: channel.createdBy,
    created_at: isoOrNull(channel.createdAtMs),
  };
}
