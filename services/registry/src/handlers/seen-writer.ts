/** Writes when nodes were last heard of, in batches; what cannot be written now is written later. */

import { asFleetwireError, type Clock, nowMs, pause } from '@fleetwire/kernel';
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

export class SeenWriter {
  readonly name = 'last seen';
  readonly #options: SeenWriterOptions;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: SeenWriterOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Writes what is left. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#flush();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await pause(this.#options.config.flush_ms, signal);
      if (!signal.aborted) await this.#flush();
    }
  }

  async #flush(): Promise<void> {
    const { lastSeen, nodes, clock, log, config } = this.#options;
    const silentSinceMs = nowMs(clock) - config.liveness_ms;
    while (lastSeen.unwritten > 0) {
      const batch = lastSeen.take(config.flush_rows);
      try {
        await this.#options.cameOnline(await nodes.seen(batch, silentSinceMs));
      } catch (error) {
        lastSeen.giveBack(batch);
        log.warn({ err: asFleetwireError(error), nodes: batch.length }, 'last seen cannot be written now');
        return;
      }
    }
    lastSeen.prune(silentSinceMs);
  }
}
