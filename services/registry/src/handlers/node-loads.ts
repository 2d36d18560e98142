/** How busy nodes are, written to the routing table when it has changed, not more often than it is worth. */

import { asFleetwireError, type Clock, keepNewest } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { NodeRoutes } from '../routing/node-routes.ts';

export interface NodeLoadsOptions {
  readonly nodeRoutes: Pick<NodeRoutes, 'setLoad'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Between two writes for a node. */
  readonly everyMs: number;
  /** Nodes remembered, and writes under way. */
  readonly max: number;
}

/** Writes at the same time; a load that finds no room is told by the next heartbeat. */
const AT_ONCE = 64;

export class NodeLoads {
  readonly #options: NodeLoadsOptions;
  /** Least recently written first. */
  readonly #written = new Map<string, { load: number; atMs: number }>();
  #underway = 0;

  constructor(options: NodeLoadsOptions) {
    this.#options = options;
  }

  /** At once; what fails is written with a later heartbeat. */
  note(org: string, node: string, load: number): void {
    const { clock, everyMs, max, nodeRoutes, log } = this.#options;
    const now = clock.monotonicMs();
    const written = this.#written.get(node);
    if (written?.load === load || (written && now - written.atMs < everyMs)) return;
    if (this.#underway >= AT_ONCE) return;
    this.#written.delete(node);
    this.#written.set(node, { load, atMs: now });
    keepNewest(this.#written, max);
    this.#underway++;
    void nodeRoutes
      .setLoad(org, node, load)
      .catch((error: unknown) => {
        this.#written.delete(node);
        log.warn({ err: asFleetwireError(error), node }, 'the load of a node is not written now');
      })
      .finally(() => {
        this.#underway--;
      });
  }
}
