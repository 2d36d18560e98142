/** Agents of one org in memory, by name and by what they can do. */

import { foldName } from '@fleetwire/kernel';

/** What is indexed of an agent; it is taken out by exactly what it was put in with. */
export interface IndexedAgent {
  readonly id: string;
  readonly route: { readonly name: string; readonly capabilities: readonly string[] };
}

export class AgentIndex<T extends IndexedAgent> {
  readonly #byName = new Map<string, T>();
  readonly #able = new Map<string, Map<string, T>>();

  byName(name: string): T | undefined {
    return this.#byName.get(foldName(name));
  }

  /** Those that have it, in no order. */
  able(capability: string): Iterable<T> {
    return this.#able.get(capability)?.values() ?? [];
  }

  add(agent: T): void {
    this.#byName.set(foldName(agent.route.name), agent);
    for (const capability of agent.route.capabilities) {
      const able = this.#able.get(capability);
      if (able === undefined) this.#able.set(capability, new Map([[agent.id, agent]]));
      else able.set(agent.id, agent);
    }
  }

  remove({ id, route }: IndexedAgent): void {
    const folded = foldName(route.name);
    // Another agent may have taken the name since.
    if (this.#byName.get(folded)?.id === id) this.#byName.delete(folded);
    for (const capability of route.capabilities) {
      const able = this.#able.get(capability);
      if (able?.delete(id) === true && able.size === 0) this.#able.delete(capability);
    }
  }
}
