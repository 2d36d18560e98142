/** The agents of this node by id, name and number. */

import { FleetwireError, foldName, nearestNames } from '@fleetwire/kernel';
import type { QueueBounds } from '../domain/queue.ts';
import type { AgentRow } from '../store/agent-table.ts';
import { HostedAgent } from './hosted-agent.ts';

export class AgentBook {
  readonly #bounds: QueueBounds;
  readonly #byNum = new Map<number, HostedAgent>();
  readonly #byId = new Map<string, HostedAgent>();
  readonly #byLocalId = new Map<string, HostedAgent>();
  readonly #byName = new Map<string, HostedAgent>();
  /** Those that have left for another node, for what still comes for them. */
  readonly #leaving = new Map<string, HostedAgent>();

  /** Names of agents of the org, as far as they are known here. */
  elsewhere: () => Iterable<string> = () => [];

  constructor(rows: readonly AgentRow[], bounds: QueueBounds) {
    this.#bounds = bounds;
    for (const row of rows) this.add(row);
  }

  get size(): number {
    return this.#byName.size;
  }

  add(row: AgentRow): HostedAgent {
    const agent = new HostedAgent(row, this.#bounds);
    this.#byNum.set(agent.num, agent);
    if (agent.removed) return agent;
    this.#byId.set(agent.id, agent);
    this.#byLocalId.set(agent.localId, agent);
    this.#byName.set(foldName(agent.name), agent);
    return agent;
  }

  /** Removed ones are found by number only, until the registry knows. */
  byNum(num: number): HostedAgent | undefined {
    return this.#byNum.get(num);
  }

  byId(id: string): HostedAgent | undefined {
    return this.#byId.get(id);
  }

  /** By what its program was given when it came here. */
  byLocalId(id: string): HostedAgent | undefined {
    return this.#byLocalId.get(id);
  }

  byName(name: string): HostedAgent | undefined {
    return this.#byName.get(foldName(name));
  }

  /** As `byName`; throws AGENT_NOT_HERE with the nearest names. */
  named(name: string): HostedAgent {
    const agent = this.byName(name);
    if (agent !== undefined) return agent;
    const here = nearestNames(
      name,
      [...this.present()].map((a) => a.name),
    );
    throw new FleetwireError('not_found', 'AGENT_NOT_HERE', `no agent "${name}" lives on this node`, {
      help: here.length > 0 ? `Did you mean ${here.join(' or ')}?` : this.#helpElsewhere(name),
    });
  }

  #helpElsewhere(name: string): string {
    const [nearest] = nearestNames(name, this.elsewhere(), 1);
    const list = 'See `fleetwire agent list` for who lives where.';
    return nearest === undefined ? list : `${nearest} lives on another node. ${list}`;
  }

  present(): IterableIterator<HostedAgent> {
    return this.#byName.values();
  }

  removed(): HostedAgent[] {
    return [...this.#byNum.values()].filter((agent) => agent.removed);
  }

  /** The registry knows it by another id now. */
  setId(agent: HostedAgent, id: string): void {
    if (!agent.removed) {
      this.#byId.delete(agent.id);
      this.#byId.set(id, agent);
    }
    agent.id = id;
  }

  /** Other names for several at once, so that two may change theirs; each name must be free or given up by one of them. */
  rename(changes: ReadonlyMap<HostedAgent, string>): void {
    for (const agent of changes.keys()) this.#byName.delete(foldName(agent.name));
    for (const [agent, name] of changes) {
      agent.name = name;
      this.#byName.set(foldName(name), agent);
    }
  }

  /** Ids of those that the registry has, as far as this node knows: what the roster digest is made of. */
  *rosterIds(): Generator<string> {
    for (const agent of this.present()) if (agent.refused === undefined) yield agent.id;
  }

  /** It lives elsewhere from now on: found by number and by `leaving` only. */
  markLeaving(agent: HostedAgent): void {
    this.#unlist(agent);
    this.#leaving.set(agent.id, agent);
  }

  /** It lives here again; under the name that it has now. */
  takeBack(agent: HostedAgent): void {
    this.#leaving.delete(agent.id);
    this.#byId.set(agent.id, agent);
    this.#byLocalId.set(agent.localId, agent);
    this.#byName.set(foldName(agent.name), agent);
  }

  leaving(id: string): HostedAgent | undefined {
    return this.#leaving.get(id);
  }

  allLeaving(): HostedAgent[] {
    return [...this.#leaving.values()];
  }

  /** Its name is free again; its number stays known until `forget`. */
  markRemoved(agent: HostedAgent): void {
    agent.removed = true;
    this.#unlist(agent);
  }

  #unlist(agent: HostedAgent): void {
    this.#byId.delete(agent.id);
    this.#byLocalId.delete(agent.localId);
    const folded = foldName(agent.name);
    if (this.#byName.get(folded) === agent) this.#byName.delete(folded);
  }

  forget(agent: HostedAgent): void {
    this.#byNum.delete(agent.num);
    this.#leaving.delete(agent.id);
  }
}
