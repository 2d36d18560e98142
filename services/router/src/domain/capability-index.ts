/** Who of an org can do what: for each capability the agents that may be picked, by node. */

import type { RouteEntry } from './route-entry.ts';

export interface Able {
  /** Agents by the id of their node; an agent that is suspended or moving is not among them. */
  readonly nodes: ReadonlyMap<string, readonly RouteEntry[]>;
  /** Agents that are suspended or moving. */
  readonly withheld: number;
}

interface Row {
  /** The one copy of this text. */
  readonly capability: string;
  readonly nodes: Map<string, RouteEntry[]>;
  withheld: number;
}

export class CapabilityIndex {
  readonly #rows = new Map<string, Row>();

  /** Undefined when no agent can. */
  of(capability: string): Able | undefined {
    return this.#rows.get(capability);
  }

  add(entry: RouteEntry): void {
    for (const capability of entry.capabilities) {
      let row = this.#rows.get(capability);
      if (row === undefined) {
        row = { capability, nodes: new Map(), withheld: 0 };
        this.#rows.set(capability, row);
      }
      if (mayBePicked(entry)) push(row.nodes, entry);
      else row.withheld++;
    }
  }

  remove(entry: RouteEntry): void {
    for (const capability of entry.capabilities) {
      const row = this.#rows.get(capability);
      if (row === undefined) continue;
      if (mayBePicked(entry)) take(row.nodes, entry);
      else row.withheld--;
      if (row.nodes.size === 0 && row.withheld === 0) this.#rows.delete(capability);
    }
  }

  /** The same list, of the texts that the index holds already. */
  shared(list: readonly string[]): readonly string[] {
    return list.map((capability) => this.#rows.get(capability)?.capability ?? capability);
  }
}

/** Is it among those that `add` counts as able? */
export function mayBePicked(entry: RouteEntry): boolean {
  return !entry.suspended && !entry.moving;
}

function push(nodes: Map<string, RouteEntry[]>, entry: RouteEntry): void {
  const there = nodes.get(entry.node);
  if (there === undefined) nodes.set(entry.node, [entry]);
  else there.push(entry);
}

function take(nodes: Map<string, RouteEntry[]>, entry: RouteEntry): void {
  const there = nodes.get(entry.node);
  const at = there?.indexOf(entry) ?? -1;
  if (there === undefined || at === -1) return;
  const last = there.pop()!;
  if (at < there.length) there[at] = last;
  if (there.length === 0) nodes.delete(entry.node);
}
