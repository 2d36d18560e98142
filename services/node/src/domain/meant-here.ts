/** Which agents of this node are meant by an address; pure. */

import { projectOf } from '@fleetwire/contract';
import { type Address, type AgentAddress, foldName, isToMany, type ManyAddress } from '@fleetwire/kernel';

export interface LocalAgent {
  readonly id: string;
  readonly name: string;
  readonly profile: { readonly repo: string } | undefined;
}

export interface NodeView {
  readonly nodeName: string;
  /** Ids of the agents in a channel or group; undefined: this node does not know it. `name` without # or %. */
  members(kind: 'channel' | 'group', name: string): ReadonlySet<string> | undefined;
}

/** Tells for each agent of this node whether it is meant; undefined: only the hub can tell. */
export function meantHere(
  address: ManyAddress,
  view: NodeView,
): ((agent: LocalAgent) => boolean) | undefined {
  if (address.kind !== 'everybody') {
    const members = view.members(address.kind, address.name);
    return members && (({ id }) => members.has(id));
  }
  // A node of another name is no business of this one; who knows by what name the hub knows it.
  if (!onNode(address.node, view.nodeName)) return undefined;
  const { project } = address;
  return (agent) => project === undefined || worksOn(agent, project);
}

/** One agent's address: is it this agent of this node? */
export function isMeant(address: AgentAddress, agent: LocalAgent, nodeName: string): boolean {
  if (!onNode(address.node, nodeName) || foldName(address.name) !== foldName(agent.name)) return false;
  return address.project === undefined || worksOn(agent, address.project);
}

/** Can nobody on another node be meant? */
export function staysHere(address: Address, nodeName: string): boolean {
  return isToMany(address) && address.kind === 'everybody' && address.node !== undefined
    ? onNode(address.node, nodeName)
    : false;
}

const onNode = (node: string | undefined, nodeName: string): boolean =>
  node === undefined || foldName(node) === foldName(nodeName);

const worksOn = ({ profile }: LocalAgent, project: string): boolean =>
  profile !== undefined && projectOf(profile.repo) === project;
