/** The nodes of this machine that a command may use: those of the org that it acts in. */

import { FleetwireError, nearestNames, printable } from '@fleetwire/kernel';
import { type ActingOrg, actThere, orgText } from './acting-org.ts';
import { HUB_NODE, type LocalNode, nodeFolder, nodeNames, nodeOrg, runningNodes } from './local-nodes.ts';
import { noFabric } from './node-machine.ts';

export class NodesOfOrg {
  readonly #data: string;
  readonly #org: ActingOrg | undefined;

  /** Without an org all nodes count. */
  constructor(dataFolder: string, org: ActingOrg | undefined) {
    this.#data = dataFolder;
    this.#org = org;
  }

  /** Those that run, at least one. Rejects FABRIC_DOWN; failed_precondition OTHER_ORG when all are of other orgs. */
  async running(): Promise<LocalNode[]> {
    const running = await runningNodes(this.#data);
    if (running.length === 0) throw await fabricDown(this.#data);
    const org = this.#org;
    if (org === undefined) return running;
    const own = running.filter((node) => node.org === org.id);
    if (own.length === 0) throw noneOfOrg(org, running);
    return own;
  }

  /** Names of those that have joined and do not run, or do not yet say where they answer. */
  async away(): Promise<string[]> {
    const running = (await runningNodes(this.#data)).map(({ name }) => name);
    const others = (await nodeNames(this.#data)).filter((name) => !running.includes(name));
    const orgs = await Promise.all(others.map((name) => nodeOrg(nodeFolder(this.#data, name))));
    const isOurs = (org: string) => (this.#org === undefined ? org !== '' : org === this.#org.id);
    return others.filter((_, i) => isOurs(orgs[i]!));
  }

  /** The one called `name`, else the default one. Rejects as `running`, and NODE_MISSING, NODE_DOWN, NODE_AMBIGUOUS. */
  async find(name: string | undefined): Promise<LocalNode> {
    if (name === undefined) return defaultNode(await this.running());
    const node = (await runningNodes(this.#data)).find((n) => n.name === name);
    if (node === undefined) throw await notRunning(this.#data, name);
    if (this.#org !== undefined && node.org !== this.#org.id) throw otherOrg(this.#org, node);
    return node;
  }

  /** The one with the operator's mailbox. Rejects FABRIC_DOWN; failed_precondition NO_OPERATOR_MAILBOX. */
  async hub(): Promise<LocalNode> {
    const hubOrg = await nodeOrg(nodeFolder(this.#data, HUB_NODE));
    if (this.#org !== undefined && hubOrg !== this.#org.id) throw noOperator(this.#org, hubOrg);
    const running = await runningNodes(this.#data);
    const hub = running.find((node) => node.name === HUB_NODE);
    if (hub === undefined) throw await fabricDown(this.#data, running);
    return hub;
  }
}

/** Of nodes that run, at least one: the hub's own, else the only one. Throws NODE_AMBIGUOUS. */
function defaultNode(running: readonly LocalNode[]): LocalNode {
  const node = running.find((n) => n.name === HUB_NODE) ?? (running.length === 1 ? running[0] : undefined);
  if (node !== undefined) return node;
  throw new FleetwireError(
    'invalid_argument',
    'NODE_AMBIGUOUS',
    'there are several nodes on this machine and the hub is not among them',
    { help: `Choose one with --node: ${running.map((n) => n.name).join(', ')}` },
  );
}

async function notRunning(dataFolder: string, name: string): Promise<FleetwireError> {
  if (name === HUB_NODE) return fabricDown(dataFolder);
  const known = await nodeNames(dataFolder);
  if (!known.includes(name)) return nodeMissing(name, known);
  return new FleetwireError('unavailable', 'NODE_DOWN', `the node ${name} does not run`, {
    help: `Start it with: fleetwire node start ${name} --detach`,
  });
}

/** `known`: the nodes of this machine. */
export function nodeMissing(name: string, known: readonly string[]): FleetwireError {
  const near = nearestNames(name, known);
  const here = known.length === 0 ? 'Start it with: fleetwire node start' : `There is: ${known.join(', ')}`;
  const message = `there is no node "${printable(name)}" on this machine`;
  return new FleetwireError('not_found', 'NODE_MISSING', message, {
    help: near.length > 0 ? `Did you mean ${near.join(' or ')}?` : here,
    details: { suggestions: near.join(',') },
  });
}

/** `running` nodes still take mail in the name of their agents. */
async function fabricDown(dataFolder: string, running: readonly LocalNode[] = []): Promise<FleetwireError> {
  const { said, help } = await noFabric(dataFolder);
  const names = running.map(({ name }) => name).join(', ');
  const helps = [help, names === '' ? '' : `--from NAME sends for an agent of ${names}`];
  return new FleetwireError('unavailable', 'FABRIC_DOWN', said, {
    help: helps.filter((each) => each !== '').join('; or '),
  });
}

const otherOrg = (org: ActingOrg, node: LocalNode) =>
  new FleetwireError(
    'failed_precondition',
    'OTHER_ORG',
    `the node ${printable(node.name)} is of ${orgText(org, node.org)}; this command acts in ${orgText(org, org.id)}`,
    {
      help: `Choose a node of this org with --node${actThere(org, node.org)}`,
      details: { node_org: node.org, org: org.id },
    },
  );

function noneOfOrg(org: ActingOrg, running: readonly LocalNode[]): FleetwireError {
  const others = running.map((node) => `${printable(node.name)} is of ${orgText(org, node.org)}`).join('; ');
  return new FleetwireError(
    'failed_precondition',
    'OTHER_ORG',
    `no node of ${orgText(org, org.id)}, in which this command acts, runs on this machine: ${others}`,
    {
      help: `Start one with: fleetwire node start NAME --detach${actThere(org, running[0]!.org)}`,
      details: { org: org.id },
    },
  );
}

/** `hubOrg` is empty where there is no hub on this machine. */
function noOperator(org: ActingOrg, hubOrg: string): FleetwireError {
  const chosen = org.contexts.get(hubOrg)?.[0];
  const back = chosen === undefined ? '' : `, or go back to your own org: fleetwire org use ${chosen}`;
  const where = hubOrg === '' ? 'this machine has no hub' : `the one here is of ${orgText(org, hubOrg)}`;
  return new FleetwireError(
    'failed_precondition',
    'NO_OPERATOR_MAILBOX',
    `${orgText(org, org.id)} has no operator's mailbox on this machine: ${where}`,
    {
      help: `Act for an agent of this machine (send --from AGENT, inbox AGENT)${back}`,
      details: { hub_org: hubOrg, org: org.id },
    },
  );
}

/** Throws failed_precondition NODE_OF_OTHER_ORG: a folder belongs to the org that its node has joined, for good. */
export async function checkNodeOrg(folder: string, name: string, org: ActingOrg | undefined): Promise<void> {
  const joined = await nodeOrg(folder);
  if (org === undefined || joined === '' || joined === org.id) return;
  throw new FleetwireError(
    'failed_precondition',
    'NODE_OF_OTHER_ORG',
    `the node ${printable(name)} of this machine is of ${orgText(org, joined)}, not of ${orgText(org, org.id)}`,
    {
      help: `Choose another name for the node${actThere(org, joined)}`,
      details: { node_org: joined, org: org.id },
    },
  );
}
