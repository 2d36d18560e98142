/** One telling of the whole roster: what is sent of each agent, and what follows from the registry's answer. */

import { LIMITS } from '@fleetwire/contract';
import { AgentProfile, type RosterAgent, type RosterOutcome } from '@fleetwire/gen/registry';
import { FleetwireError, foldName } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import { toldProfile } from '../domain/profile.ts';
import type { RegistryDoor } from '../hub/registry-door.ts';
import type { Arrivals } from '../moving/arrivals.ts';
import type { AgentTable } from '../store/agent-table.ts';
import type { Turns } from '../store/turns.ts';
import type { AgentBook } from './agent-book.ts';
import type { HostedAgent, RosterRefusal } from './hosted-agent.ts';

export interface RosterParts {
  readonly book: AgentBook;
  readonly table: AgentTable;
  readonly turns: Turns;
  readonly door: Pick<RegistryDoor, 'syncRoster'>;
  readonly log: Logger;
  readonly arrivals: Pick<Arrivals, 'anew'>;
  /** The registry says that it lives on another node now. */
  moved?(agent: HostedAgent): void;
  /** A person has removed it at the registry. */
  dismissed?(agent: HostedAgent): void;
}

type Described = Pick<HostedAgent, 'profile' | 'location'>;

/** Bytes of profiles in one roster: far below what gRPC allows. What does not fit goes with the next one. */
const PROFILE_BYTES = LIMITS.rpcMessageBytes / 2;

export class RosterSync {
  readonly #parts: RosterParts;
  readonly #profileBytes: number;

  constructor(parts: RosterParts, profileBytes = PROFILE_BYTES) {
    this.#parts = parts;
    this.#profileBytes = profileBytes;
  }

  /** Nothing else may register or remove agents meanwhile. False: the hub takes no rosters. Rejects as the call does. */
  async tell(): Promise<boolean> {
    const { book, door } = this.#parts;
    const agents = [...book.present()];
    const removed = book.removed();
    if (agents.length > LIMITS.rosterAgents) return false;
    const { roster, described } = this.#roster(agents);
    const gone = removed.slice(0, LIMITS.rosterAgents).map(({ id }) => id);
    const outcomes = await this.#call(() => door.syncRoster(roster, gone));
    if (outcomes === undefined) return false;
    if (outcomes.length !== agents.length)
      throw new FleetwireError(
        'internal',
        'REGISTRY_ANSWER',
        'the answer has another length than the roster',
      );
    await this.#apply(agents, outcomes, removed);
    // What has changed meanwhile goes with the next one.
    for (const [agent, { profile, location }] of described)
      if (agent.profile === profile && agent.location === location) agent.described = agent.registered;
    return true;
  }

  async #call(call: () => Promise<RosterOutcome[]>): Promise<RosterOutcome[] | undefined> {
    try {
      return await call();
    } catch (error) {
      if (error instanceof FleetwireError && error.kind === 'unimplemented') return undefined;
      throw error;
    }
  }

  /** Profiles go only where the registry has another one, and as many as fit. */
  #roster(agents: readonly HostedAgent[]): { roster: RosterAgent[]; described: Map<HostedAgent, Described> } {
    const described = new Map<HostedAgent, Described>();
    let left = this.#profileBytes;
    const roster = agents.map((agent) => {
      const { id, name, adapter } = agent;
      const known = agent.registered && agent.described;
      const profile = known ? undefined : toldProfile(agent.profile, agent.location);
      const size = profile === undefined ? 0 : AgentProfile.encode(profile).finish().length;
      if (size > left) return { id, name, adapter, profile: undefined };
      left -= size;
      described.set(agent, { profile: agent.profile, location: agent.location });
      return { id, name, adapter, profile };
    });
    return { roster, described };
  }

  async #apply(
    agents: readonly HostedAgent[],
    outcomes: readonly RosterOutcome[],
    removed: readonly HostedAgent[],
  ): Promise<void> {
    const { book, table, turns } = this.#parts;
    const renamed = new Map<HostedAgent, string>();
    await turns.run(() => {
      for (const [i, agent] of agents.entries()) {
        const { agent: there, ...refusal } = outcomes[i]!;
        if (there === undefined || refusal.reason !== '') {
          noteRefused(this.#parts, agent, refusal);
          continue;
        }
        noteTaken(this.#parts, agent, there.id);
        if (there.name !== agent.name && !agent.removed) renamed.set(agent, there.name);
      }
      renameAll(this.#parts, renamed);
      for (const agent of removed) {
        table.delete(agent.num);
        book.forget(agent);
      }
    });
  }
}

/** Inside a turn: the registry has the agent, perhaps by another id. */
export function noteTaken(parts: Omit<RosterParts, 'door'>, agent: HostedAgent, id: string): void {
  const { book, table, log } = parts;
  agent.registered = true;
  agent.refused = undefined;
  if (id === agent.id) return;
  const other = book.byId(id);
  if (other !== undefined) {
    log.error({ agent: agent.name, id, other: other.name }, 'the registry gives the id of another agent');
    return;
  }
  log.warn({ agent: agent.name, before: agent.id, now: id }, 'the registry knows this agent by another id');
  table.setId(agent.num, id);
  book.setId(agent, id);
  parts.arrivals.anew(agent);
}

/** The agent goes on on this node; said once for each reason. */
export function noteRefused(
  parts: Pick<RosterParts, 'log' | 'moved' | 'dismissed'>,
  agent: HostedAgent,
  refusal: RosterRefusal,
): void {
  const { reason, message, suggestion } = refusal;
  if (agent.refused?.reason !== reason)
    parts.log.warn(
      { agent: agent.name, reason, said: message, suggestion },
      'the registry refuses this agent',
    );
  agent.registered = false;
  agent.refused = { reason, message, suggestion };
  if (reason === 'AGENT_MOVED') parts.moved?.(agent);
  else if (reason === 'AGENT_REMOVED') parts.dismissed?.(agent);
}

/** Inside a turn. A name that an agent of this node has, which the registry does not know by it, is not taken from that one. */
export function renameAll(
  { book, table, log }: Pick<RosterParts, 'book' | 'table' | 'log'>,
  wanted: ReadonlyMap<HostedAgent, string>,
): void {
  const changes = new Map(wanted);
  for (const conflicting of conflictsIn(book, changes)) {
    const name = changes.get(conflicting)!;
    changes.delete(conflicting);
    log.warn({ agent: conflicting.name, name }, 'renamed at the registry; another agent here has that name');
  }
  // A name of nobody's first: two may take each other's.
  for (const agent of changes.keys()) table.setName(agent.num, agent.name, `#${agent.num}`);
  for (const [agent, name] of changes) {
    log.info({ agent: agent.name, name }, 'renamed at the registry');
    table.setName(agent.num, name, foldName(name));
  }
  book.rename(changes);
}

/** Those whose new name is kept by another one; that they keep theirs may be in the way of others in turn. */
function* conflictsIn(book: AgentBook, changes: ReadonlyMap<HostedAgent, string>): Generator<HostedAgent> {
  for (let found = true; found; ) {
    found = false;
    for (const [agent, name] of changes) {
      const holder = book.byName(name);
      if (holder === undefined || holder === agent || changes.has(holder)) continue;
      found = true;
      yield agent;
    }
  }
}
