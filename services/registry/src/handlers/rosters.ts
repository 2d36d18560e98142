/** Whether a node and PostgreSQL have the same agents of that node, without reading them each time. */

import type { NodeState } from '../store/node-state.ts';

export interface RostersOptions {
  readonly state: Pick<NodeState, 'rosterDigest'>;
  /** Nodes remembered. */
  readonly max: number;
}

/** What was read last: the digest, and the state of the roster that it is of. */
interface Read {
  readonly digest: number;
  readonly roster: number;
}

export class Rosters {
  readonly #options: RostersOptions;
  /** Least recently used first. */
  readonly #read = new Map<string, Read>();
  /** The latest state of each remembered roster that was heard of. */
  readonly #latest = new Map<string, number>();
  readonly #reading = new Map<string, Promise<Read | undefined>>();

  constructor(options: RostersOptions) {
    this.#options = options;
  }

  /** The node's roster has changed: what is remembered counts only if it is of this state. */
  changed(node: string, roster: number): void {
    if (this.#read.has(node)) this.#latest.set(node, Math.max(roster, this.#latest.get(node) ?? 0));
  }

  /** Reads again when what is remembered differs or is stale, so that no difference is told that is not there. */
  async differs(node: string, digest: number): Promise<boolean> {
    const known = this.#read.get(node);
    if (known?.digest === digest && known.roster >= (this.#latest.get(node) ?? 0)) return false;
    const now = await this.#again(node);
    return now !== undefined && now.digest !== digest;
  }

  #again(node: string): Promise<Read | undefined> {
    const underway = this.#reading.get(node);
    if (underway) return underway;
    const reading = this.#options.state
      .rosterDigest(node)
      .then((read) => {
        this.#read.delete(node);
        this.#latest.delete(node);
        if (read !== undefined) this.#read.set(node, read);
        if (this.#read.size > this.#options.max) this.#forget(this.#read.keys().next().value!);
        return read;
      })
      .finally(() => this.#reading.delete(node));
    this.#reading.set(node, reading);
    return reading;
  }

  #forget(node: string): void {
    this.#read.delete(node);
    this.#latest.delete(node);
  }
}
