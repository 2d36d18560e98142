/** Keeps the routing table in step with the routes bucket. */

import type { Bucket, BucketWatch } from '@fleetwire/broker';
import { Route } from '@fleetwire/gen/message';
import { type Clock, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { RoutingTable } from '../domain/routing-table.ts';
import { routeEntry } from '../domain/routing-table.ts';
import type { NameLookup } from './name-lookup.ts';

export interface RoutesWatchOptions {
  readonly bucket: Bucket;
  /** Sequence of what was written to the bucket last. */
  readonly last: () => Promise<number>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly table: RoutingTable;
  readonly lookup: NameLookup;
  readonly log: Logger;
}

const LOOK_MS = 5;

/** One change of the bucket; `value` is undefined where the key was removed. */
export interface RouteChange {
  readonly key: string;
  readonly value: Uint8Array | undefined;
}

/** Applies one change; a route that cannot be read or used is logged and left out. */
export function applyChange(
  o: Pick<RoutesWatchOptions, 'table' | 'lookup' | 'log'>,
  change: RouteChange,
): void {
  const dot = change.key.indexOf('.');
  const org = change.key.slice(0, dot);
  const agent = change.key.slice(dot + 1);
  if (change.value === undefined) {
    const gone = o.table.remove(org, agent);
    if (gone !== undefined) o.lookup.forget(org, gone.folded);
    return;
  }
  const entry = readRoute(org, change.value);
  if (entry === undefined || entry.agent !== agent) {
    o.log.error({ key: change.key }, 'a route in the bucket cannot be used');
    return;
  }
  o.table.put(entry);
  o.lookup.forget(org, entry.folded);
}

function readRoute(org: string, value: Uint8Array) {
  try {
    return routeEntry(org, Route.decode(value));
  } catch {
    return undefined;
  }
}

export class RoutesWatch {
  readonly name = 'routes watch';
  readonly #options: RoutesWatchOptions;
  #watch: BucketWatch | undefined;

  constructor(options: RoutesWatchOptions) {
    this.#options = options;
  }

  /** Resolves when the table holds all that was in the bucket. */
  async start(): Promise<void> {
    await new Promise<void>((loaded, failed) => {
      this.#options.bucket
        .watch((entry) => applyChange(this.#options, entry), loaded)
        .then((watch) => {
          this.#watch = watch;
        }, failed);
    });
    this.#options.log.info({ routes: this.#options.table.size }, 'the routing table is loaded');
  }

  /**
   * False when the table has not come to where the bucket was at the call within the time. Asked under each new lease of a
   * partition: who was paused meanwhile must not route by what was so before, since an agent may have moved.
   */
  async caughtUp(withinMs: number): Promise<boolean> {
    const { last, clock } = this.#options;
    const until = clock.monotonicMs() + withinMs;
    const wanted = await last();
    while ((this.#watch?.position ?? 0) < wanted) {
      if (clock.monotonicMs() >= until) return false;
      await pause(LOOK_MS);
    }
    return true;
  }

  stop(): void {
    this.#watch?.stop();
  }
}
