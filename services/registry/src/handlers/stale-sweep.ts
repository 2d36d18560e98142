/** Removes the agents of nodes that are silent for too long: their names are free, their waiting mail goes back. */

import type { Clock } from '@fleetwire/kernel';
import { nowMs } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { RegistryConfig } from '../config.ts';
import type { LastSeen } from '../domain/liveness.ts';
import { Silence } from '../domain/silence.ts';
import type { RouteTable } from '../routing/route-table.ts';
import type { AgentRows } from '../store/agents.ts';
import type { SilentNode, SweepRows } from '../store/sweeps.ts';
import type { Announcer } from './announcer.ts';
import { tellRemoved } from './deregister-agent.ts';

export interface StaleSweepParts {
  readonly sweeps: Pick<SweepRows, 'silentNodes' | 'agentsOf'>;
  readonly agents: Pick<AgentRows, 'remove'>;
  readonly routes: Pick<RouteTable, 'removeMany'>;
  readonly announcer: Pick<Announcer, 'tell' | 'room'>;
  readonly lastSeen: Pick<LastSeen, 'latest'>;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info'>;
  readonly config: Pick<RegistryConfig, 'stale_ms' | 'liveness_ms'>;
}

const NODES = 1000;
const BATCH = 500;

/**
 * A node is not swept at first sight: while the broker or PostgreSQL was away nobody could be heard of, and all look silent
 * when it is back. It has to be seen silent for another two livenesses without a break.
 */
export class StaleSweep {
  readonly #parts: StaleSweepParts;
  readonly #silence: Silence;

  constructor(parts: StaleSweepParts) {
    this.#parts = parts;
    this.#silence = new Silence(parts.clock, 2 * parts.config.liveness_ms);
  }

  /** What was seen so far does not count any more: there was a break. */
  forget(): void {
    this.#silence.break();
  }

  /** One turn; `mayGoOn` is asked before each step. Gives the number of agents removed. */
  async run(mayGoOn: () => boolean): Promise<number> {
    const { sweeps, lastSeen, clock, config } = this.#parts;
    const cutoffMs = nowMs(clock) - config.stale_ms;
    try {
      const silent = (await sweeps.silentNodes(cutoffMs, NODES)).filter(
        ({ id, lastSeenAtMs }) => lastSeen.latest(id, lastSeenAtMs) <= cutoffMs,
      );
      this.#silence.retain(silent.map(({ id }) => id));
      const due = silent.filter(({ id }) => this.#silence.isLong(id));
      let removed = 0;
      for (const node of due) removed += await this.#sweep(node, cutoffMs, mayGoOn);
      return removed;
    } catch (error) {
      this.forget();
      throw error;
    }
  }

  async #sweep(node: SilentNode, cutoffMs: number, mayGoOn: () => boolean): Promise<number> {
    const { sweeps, agents, routes, announcer, clock, log } = this.#parts;
    let removed = 0;
    while (mayGoOn()) {
      const ids = await sweeps.agentsOf(node.id, cutoffMs, BATCH);
      if (ids.length === 0) break;
      const gone = await agents.remove({
        ids,
        node: node.id,
        silentSinceMs: cutoffMs,
        returning: 'agent_swept',
        nowMs: nowMs(clock),
      });
      await routes.removeMany(gone);
      tellRemoved({ announcer }, gone, 'registry', 'swept');
      await announcer.room();
      removed += gone.length;
      // It was heard of at this very moment.
      if (gone.length === 0) break;
    }
    if (removed > 0) log.info({ node: node.name, agents: removed }, 'agents of a silent node are removed');
    return removed;
  }
}
