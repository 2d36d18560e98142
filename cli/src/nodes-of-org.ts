/** The nodes of this machine that a command may use: those of the org that it acts in. */

import { FleetwireError, printable } from '@fleetwire/kernel';
import { type ActingOrg, actThere, orgText } from './acting-org.ts';
import {
  defaultNode,
  fabricDown,
  findLocalNode,
  HUB_NODE,
  hubNode,
  type LocalNode,
  nodeFolder,
  nodeOrg,
  runningNodes,
} from './local-nodes.ts';

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
    if (running.length === 0) throw fabricDown([]);
    const org = this.#org;
    if (org === undefined) return running;
    const own = running.filter((node) => node.org === org.id);
    if (own.length === 0) throw noneOfOrg(org, running);
    return own;
  }

  /** The one called `name`, else the default one. Rejects as `findLocalNode`, and failed_precondition OTHER_ORG. */
  async find(name: string | undefined): Promise<LocalNode> {
    if (name === undefined) return defaultNode(await this.running());
    const node = await findLocalNode(this.#data, name);
    if (this.#org !== undefined && node.org !== this.#org.id) throw otherOrg(this.#org, node);
    return node;
  }

  /** The one with the operator's mailbox. Rejects FABRIC_DOWN; failed_precondition NO_OPERATOR_MAILBOX. */
  async hub(): Promise<LocalNode> {
    const org = this.#org;
    if (org === undefined) return hubNode(this.#data);
    const hubOrg = await nodeOrg(nodeFolder(this.#data, HUB_NODE));
    if (hubOrg !== org.id) throw noOperator(org, hubOrg);
    return hubNode(this.#data);
  }
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
