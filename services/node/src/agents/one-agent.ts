/** Calls to the registry about a single agent: a new one, one that it may have forgotten, one that is gone. */

import { ERROR_TABLE } from '@fleetwire/contract';
import type { Agent, AgentProfile } from '@fleetwire/gen/registry';
import { asFleetwireError, FleetwireError, foldName } from '@fleetwire/kernel';
import { toldProfile } from '../domain/profile.ts';
import { isAway } from '../hub/refused.ts';
import type { RegistryDoor } from '../hub/registry-door.ts';
import type { Arrivals } from '../moving/arrivals.ts';
import { type AdapterKind, NO_PROGRAM, type ProgramSpec } from '../store/agent-table.ts';
import type { HostedAgent } from './hosted-agent.ts';
import { noteRefused, noteTaken, type RosterParts, renameAll } from './roster-sync.ts';

export interface OneAgentParts extends RosterParts {
  readonly door: Pick<RegistryDoor, 'registerAgent' | 'deregisterAgent' | 'syncRoster'>;
  readonly agentsMax: number;
  /** The registry has asked this node to take no new agents. */
  readonly draining?: () => boolean;
  /** Why the registry does not take this node, and what to do; empty: it does. */
  readonly refusal?: () => string;
  /** Agents that may be on their way from another node. */
  readonly arrivals: Pick<Arrivals, 'anew' | 'expected' | 'returned'>;
}

export interface Newcomer {
  readonly adapter: AdapterKind;
  readonly spec?: ProgramSpec;
  readonly profile?: AgentProfile | undefined;
  /** From a node that is away or draining, where the registry allows it. */
  readonly takeOver?: boolean;
}

/** Rejects NODE_REFUSED, NODE_DRAINING, TOO_MANY_AGENTS, HUB_UNREACHABLE, or what the registry says, such as NAME_TAKEN. */
export async function register(parts: OneAgentParts, name: string, newcomer: Newcomer): Promise<HostedAgent> {
  const { book, door, agentsMax } = parts;
  const refusal = parts.refusal?.() ?? '';
  if (refusal !== '') throw nodeRefused(refusal);
  if (parts.draining?.() === true) throw nodeDraining(name);
  if (book.size >= agentsMax) throw tooManyAgents(book.size);
  const { adapter, profile, takeOver = false } = newcomer;
  return reach(async () => {
    // While the registry still has a removed one of that name, it would answer with its id.
    const leftover = book.removed().find((agent) => foldName(agent.name) === foldName(name));
    if (leftover !== undefined) await deregister(parts, leftover);
    const registered = await door.registerAgent({ name, adapter, profile, takeOver });
    return add(parts, registered, name, newcomer);
  });
}

function add(
  parts: OneAgentParts,
  registered: Agent,
  name: string,
  newcomer: Newcomer,
): Promise<HostedAgent> {
  const { book, table, turns } = parts;
  return turns.run(() => {
    const renamed = book.byId(registered.id);
    if (renamed !== undefined) {
      renameAll(parts, new Map([[renamed, registered.name]]));
      return renamed;
    }
    const { id, moving } = registered;
    // Announced here since the call began, and gone again at the registry: the name is this one's now.
    const announced = book.byName(registered.name);
    if (announced !== undefined) {
      noteTaken(parts, announced, id);
      return announced;
    }
    const left = parts.arrivals.returned(
      { agent: id, name: registered.name, adapter: newcomer.adapter },
      moving,
    );
    if (left !== undefined) return left;
    const { adapter, spec = NO_PROGRAM, profile = registered.profile } = newcomer;
    const row = { id: registered.id, name: registered.name, adapter, spec, profile };
    const agent = book.add(table.insert(row, foldName(name)));
    agent.registered = true;
    agent.described = true;
    if (moving) parts.arrivals.expected(agent);
    return agent;
  });
}

/** Never rejects: what the registry says for good is noted with the agent, anything else is tried again later. */
export async function announce(parts: OneAgentParts, agent: HostedAgent): Promise<void> {
  const { door, log, turns } = parts;
  const { name, adapter, profile, location } = agent;
  try {
    const told = toldProfile(profile, location);
    const { id } = await door.registerAgent({ name, adapter, profile: told, takeOver: false });
    await turns.run(() => noteTaken(parts, agent, id));
    agent.described = agent.profile === profile && agent.location === location;
  } catch (thrown) {
    const error = asFleetwireError(thrown);
    if (!isFinal(error)) return log.warn({ err: error, agent: name }, 'agent not registered');
    const { reason, message, details } = error;
    noteRefused(parts, agent, { reason, message, suggestion: details['suggestion'] ?? '' });
  }
}

/** Rejects as the call does; then it is known as removed, and told again. */
export async function deregister(
  { door, turns, table, book }: OneAgentParts,
  agent: HostedAgent,
): Promise<void> {
  await door.deregisterAgent(agent.id);
  await turns.run(() => {
    table.delete(agent.num);
    book.forget(agent);
  });
}

/** Is this about the agent, and the same tomorrow? */
function isFinal({ kind }: FleetwireError): boolean {
  return !ERROR_TABLE[kind].retryable && kind !== 'unauthenticated' && kind !== 'internal';
}

function tooManyAgents(size: number): FleetwireError {
  return new FleetwireError('resource_exhausted', 'TOO_MANY_AGENTS', `this node hosts ${size} agents`, {
    help: 'Stop some, or raise FLEETWIRE_NODE_AGENTS.',
  });
}

async function reach<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (!isAway(cause)) throw asFleetwireError(cause);
    throw new FleetwireError('unavailable', 'HUB_UNREACHABLE', 'a new agent needs the hub, which is away', {
      help: 'Try again when `fleetwire status` shows the hub as active; known agents go on meanwhile.',
      cause,
    });
  }
}

function nodeRefused(refusal: string): FleetwireError {
  const message = `the hub does not take this node, so it takes no new agents: ${refusal}`;
  return new FleetwireError('failed_precondition', 'NODE_REFUSED', message, {
    help: 'Do what it says, or start the agent on another node.',
  });
}

function nodeDraining(name: string): FleetwireError {
  const message = `this node is being drained: it takes no new agents, "${name}" neither`;
  return new FleetwireError('failed_precondition', 'NODE_DRAINING', message, {
    help: 'Start it on another node, or have an admin end the draining; agents that live here go on.',
  });
}
