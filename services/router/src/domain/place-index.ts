/** Agents of one org by the place where they live. */

import type { Place, RouteEntry } from './route-entry.ts';

const NOWHERE: readonly Place[] = [];

/** One object for all agents of a node; a second one only while the node's name or shard changes. */
export class PlaceIndex {
  readonly #byNode = new Map<string, Place[]>();

  /** None without an agent. */
  *all(): Iterable<Place> {
    for (const places of this.#byNode.values()) yield* places;
  }

  of(node: string): readonly Place[] {
    return this.#byNode.get(node) ?? NOWHERE;
  }

  /** Gives the place like its own that it is to have from now on. */
  enter(entry: RouteEntry): Place {
    const own = entry.place;
    const there = this.#byNode.get(own.node);
    const known = there?.find((p) => p.prefix === own.prefix && p.nodeName === own.nodeName);
    const place = known ?? { ...own, agents: [] };
    if (there === undefined) this.#byNode.set(own.node, [place]);
    else if (known === undefined) there.push(place);
    place.agents.push(entry);
    return place;
  }

  /** Its place is the one that `enter` gave. */
  leave(entry: RouteEntry): void {
    const { place } = entry;
    const { agents, node } = place;
    const last = agents.pop()!;
    if (last !== entry) agents[agents.indexOf(entry)] = last;
    if (agents.length > 0) return;
    const there = this.#byNode.get(node)!;
    if (there.length === 1) this.#byNode.delete(node);
    else there.splice(there.indexOf(place), 1);
  }
}
