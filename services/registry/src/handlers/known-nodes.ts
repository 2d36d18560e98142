/** The nodes that send heartbeats, so that these cost no query and go on while PostgreSQL is away. */

import { type Clock, keepNewest } from '@fleetwire/kernel';
import type { NodeRow } from '../store/entities.ts';

export interface KnownNodesOptions {
  readonly load: (id: string) => Promise<NodeRow | null>;
  readonly clock: Clock;
  readonly max: number;
  readonly freshMs: number;
}

export class KnownNodes {
  readonly #options: KnownNodesOptions;
  /** Least recently used first. */
  readonly #known = new Map<string, { node: NodeRow; readAtMs: number }>();
  readonly #loading = new Map<string, Promise<NodeRow | null>>();
  /** Of each node that is being read: how often, and the number of the latest reading that has ended. */
  readonly #reading = new Map<string, { underway: number; ended: number }>();
  #readings = 0;

  constructor(options: KnownNodesOptions) {
    this.#options = options;
  }

  /** Null: there is no such node. Rejects only for one that is not remembered while it cannot be read. */
  async get(id: string): Promise<NodeRow | null> {
    const { clock, freshMs } = this.#options;
    const known = this.#known.get(id);
    if (known && clock.monotonicMs() - known.readAtMs < freshMs) return known.node;
    try {
      return await this.#load(id);
    } catch (error) {
      if (known) return known.node;
      throw error;
    }
  }

  /** As it is in the store now; what is remembered while that cannot be read. Waits for no reading that began before. */
  async fresh(id: string): Promise<NodeRow | null> {
    try {
      return await this.#read(id);
    } catch (error) {
      const known = this.#known.get(id);
      if (known) return known.node;
      throw error;
    }
  }

  /** Somebody has written the row: it is read again unless it is remembered as of this revision. */
  changed(id: string, revision: number): void {
    const known = this.#known.get(id);
    if (known !== undefined && known.node.revision !== revision) known.readAtMs = Number.NEGATIVE_INFINITY;
  }

  #load(id: string): Promise<NodeRow | null> {
    const underway = this.#loading.get(id);
    if (underway) return underway;
    const loading = this.#read(id).finally(() => this.#loading.delete(id));
    this.#loading.set(id, loading);
    return loading;
  }

  /** What a reading that began later has found stays remembered. */
  async #read(id: string): Promise<NodeRow | null> {
    const number = ++this.#readings;
    const reading = this.#reading.get(id) ?? { underway: 0, ended: 0 };
    this.#reading.set(id, reading);
    reading.underway++;
    try {
      const node = await this.#options.load(id);
      if (number < reading.ended) return node;
      reading.ended = number;
      return this.#remember(id, node);
    } finally {
      if (--reading.underway === 0) this.#reading.delete(id);
    }
  }

  #remember(id: string, node: NodeRow | null): NodeRow | null {
    this.#known.delete(id);
    if (node === null) return null;
    this.#known.set(id, { node, readAtMs: this.#options.clock.monotonicMs() });
    keepNewest(this.#known, this.#options.max);
    return node;
  }
}
