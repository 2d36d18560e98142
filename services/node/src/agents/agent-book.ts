/** The agents of this node by id, name and number. */

import { FleetwireError, foldName, nearestNames } from '@fleetwire/kernel';
import type { QueueBounds } from '../domain/queue.ts';
import type { AgentRow } from '../store/agent-table.ts';
import { HostedAgent } from './hosted-agent.ts';

export class AgentBook {
  readonly #bounds: QueueBounds;
  readonly #byNum = new Map<number, HostedAgent>();
  readonly #byId = new Map<string, HostedAgent>();
  readonly #byName = new Map<string, HostedAgent>();
  /** Those that have left for another node, for what still comes for them. */
  readonly #leaving = new Map<string, HostedAgent>();

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

  byName(name: string): HostedAgent | undefined {
    return this.#byName.get(foldName(name));
  }

  /** As `byName`; throws AGENT_NOT_HERE with the nearest names. */
  named(name: string): HostedAgent {
    const agent = this.byName(name);
    if (agent !== undefined) return agent;
    const near = nearestNames(
      name,
      [...this.present()].map((a) => a.name),
    );
    throw new FleetwireError('not_found', 'AGENT_NOT_HERE', `no agent "${name}" lives on this node`, {
      help:
        near.length > 0
          ? `Did you mean ${near.join(' or ')}?`
          : 'See `fleetwire agent list` for who lives where.',
    });
  }

  present(): IterableIterator<HostedAgent> {
    return this.#byName.values();
  }

  removed(): HostedAgent[] {
    return [...this.#byNum.values()].filter((agent) => agent.removed);
  }

  rename(agent: HostedAgent, id: string): void {
    this.#byId.delete(agent.id);
    agent.id = id;
    this.#byId.set(id, agent);
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
    const folded = foldName(agent.name);
    if (this.#byName.get(folded) === agent) this.#byName.delete(folded);
  }

  forget(agent: HostedAgent): void {
    this.#byNum.delete(agent.num);
    this.#leaving.delete(agent.id);
  }
}
