/** Writes when nodes were last heard of, in batches; what cannot be written now is written later. */

import { type Clock, nowMs } from '@fleetwire/kernel';
import { Rounds } from '@fleetwire/runtime';
import type { Logger } from '@fleetwire/telemetry';
import type { RegistryConfig } from '../config.ts';
import type { LastSeen } from '../domain/liveness.ts';
import type { NodeRows, RoutedNode } from '../store/nodes.ts';

export interface SeenWriterOptions {
  readonly lastSeen: LastSeen;
  readonly nodes: Pick<NodeRows, 'seen'>;
  /** Of nodes that came online by what was written. Never rejects. */
  readonly cameOnline: (nodes: readonly RoutedNode[]) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: Pick<RegistryConfig, 'flush_ms' | 'flush_rows' | 'liveness_ms'>;
}

/** What is left at its end is written then. */
export function seenWriter(o: SeenWriterOptions): Rounds {
  const work = () => write(o);
  return new Rounds({ name: 'last seen', intervalMs: o.config.flush_ms, log: o.log, work, atEnd: work });
}

async function write({ lastSeen, nodes, cameOnline, clock, config }: SeenWriterOptions): Promise<void> {
  const silentSinceMs = nowMs(clock) - config.liveness_ms;
  while (lastSeen.unwritten > 0) {
    const batch = lastSeen.take(config.flush_rows);
    try {
      await cameOnline(await nodes.seen(batch, silentSinceMs));
    } catch (error) {
      lastSeen.giveBack(batch);
      throw error;
    }
  }
  lastSeen.prune(silentSinceMs);
}
