/** What other replicas have written of nodes, looked for each second: so every replica answers alike. */

import { nowMs as brokerMs, type Clock } from '@fleetwire/kernel';
import type { LastSeen } from '../domain/liveness.ts';
import type { MovingRow, NodeState } from '../store/node-state.ts';
import type { KnownNodes } from './known-nodes.ts';
import type { Rosters } from './rosters.ts';

export interface NodeLookOptions {
  readonly state: Pick<NodeState, 'changedSince' | 'removedSince' | 'moving'>;
  readonly lastSeen: LastSeen;
  readonly known: Pick<KnownNodes, 'changed'>;
  readonly rosters: Pick<Rosters, 'changed'>;
  readonly clock: Clock;
}

/** A write shows up when it commits, with the moment at which it was made: longer than any of ours takes. */
const OVERLAP_MS = 3000;
/** Removals are looked for so far back, since they are noted by another clock. */
const REMOVED_MS = 60_000;
/** Of no row. */
const GONE = -1;
const MOVING_MAX = 10_000;
const MOVING_OF_NODE_MAX = 1000;

export class NodeLook {
  readonly #options: NodeLookOptions;
  #moving: ReadonlyMap<string, MovingRow[]> = new Map();
  #sinceMs = 0;

  constructor(options: NodeLookOptions) {
    this.#options = options;
  }

  /** Agents that have left this node and whose mail it is to hand over, as of the last look. */
  movingFrom(node: string): readonly MovingRow[] {
    return this.#moving.get(node)?.slice(0, MOVING_OF_NODE_MAX) ?? [];
  }

  /** Rejects while PostgreSQL is away. */
  async once(): Promise<void> {
    const { state, lastSeen, known, rosters } = this.#options;
    const { nowMs, nodes } = await state.changedSince(this.#sinceMs);
    for (const { id, lastSeenAtMs, leftAtMs, revision, roster } of nodes) {
      lastSeen.learn(id, lastSeenAtMs, leftAtMs);
      known.changed(id, revision);
      rosters.changed(id, roster);
    }
    for (const id of await state.removedSince(brokerMs(this.#options.clock) - REMOVED_MS)) {
      known.changed(id, GONE);
      lastSeen.forget(id);
    }
    this.#moving = Map.groupBy(await state.moving(MOVING_MAX), ({ node }) => node);
    this.#sinceMs = nowMs - OVERLAP_MS;
  }
}
