/** Who of an org can do what: for each capability the agents that may be picked, by node. */

import type { RouteEntry } from './route-entry.ts';

export interface Able {
  /** Agents by the id of their node; an agent that is suspended or moving is not among them. */
  readonly nodes: ReadonlyMap<string, readonly RouteEntry[]>;
  /** Agents that are suspended or moving. */
  readonly withheld: number;
}

interface Row {
  readonly nodes: Map<string, RouteEntry[]>;
  withheld: number;
}

export class CapabilityIndex {
  readonly #rows = new Map<string, Row>();
  /** Most agents can do the same as others: each list is held once. */
  readonly #lists = new Map<string, { readonly list: readonly string[]; users: number }>();

  /** Undefined when no agent can. */
  of(capability: string): Able | undefined {
    return this.#rows.get(capability);
  }

  add(entry: RouteEntry): void {
    if (entry.capabilities.length === 0) return;
    entry.capabilities = this.#take(entry.capabilities);
    for (const capability of entry.capabilities) {
      let row = this.#rows.get(capability);
      if (row === undefined) {
        row = { nodes: new Map(), withheld: 0 };
        this.#rows.set(capability, row);
      }
      if (mayBePicked(entry)) push(row.nodes, entry);
      else row.withheld++;
    }
  }

  remove(entry: RouteEntry): void {
    if (entry.capabilities.length === 0) return;
    this.#release(entry.capabilities);
    for (const capability of entry.capabilities) {
      const row = this.#rows.get(capability);
      if (row === undefined) continue;
      if (mayBePicked(entry)) take(row.nodes, entry);
      else row.withheld--;
      if (row.nodes.size === 0 && row.withheld === 0) this.#rows.delete(capability);
    }
  }

  #take(given: readonly string[]): readonly string[] {
    const key = given.join(' ');
    let shared = this.#lists.get(key);
    if (shared === undefined) {
      shared = { list: given, users: 0 };
      this.#lists.set(key, shared);
    }
    shared.users++;
    return shared.list;
  }

  #release(list: readonly string[]): void {
    const key = list.join(' ');
    const shared = this.#lists.get(key);
    if (shared !== undefined && --shared.users === 0) this.#lists.delete(key);
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
