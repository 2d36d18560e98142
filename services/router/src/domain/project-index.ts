/** Agents of one org by what they work on. */

import type { RouteEntry } from './route-entry.ts';

export class ProjectIndex {
  readonly #rows = new Map<string, { readonly name: string; readonly agents: Set<RouteEntry> }>();

  /** Undefined when nobody works on it. */
  of(project: string): ReadonlySet<RouteEntry> | undefined {
    return this.#rows.get(project)?.agents;
  }

  names(): Iterable<string> {
    return this.#rows.keys();
  }

  /** The text of its project is that of all others of the same. */
  add(entry: RouteEntry): void {
    if (entry.project === '') return;
    let row = this.#rows.get(entry.project);
    if (row === undefined) {
      row = { name: entry.project, agents: new Set() };
      this.#rows.set(row.name, row);
    }
    entry.project = row.name;
    row.agents.add(entry);
  }

  remove(entry: RouteEntry): void {
    const row = entry.project === '' ? undefined : this.#rows.get(entry.project);
    if (row?.agents.delete(entry) === true && row.agents.size === 0) this.#rows.delete(entry.project);
  }
}
