/** Keeps the routing table in step with the routes bucket. */

import type { Bucket, BucketWatch } from '@fleetwire/broker';
import { parseRouteKey } from '@fleetwire/contract';
import { ChannelRoute, NodeRoute, Route } from '@fleetwire/gen/message';
import { type Clock, isName, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { RoutingTable } from '../domain/routing-table.ts';
import { routeEntry } from '../domain/routing-table.ts';
import type { NameLookup } from './name-lookup.ts';

export interface RoutesWatchOptions {
  readonly bucket: Bucket;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly table: RoutingTable;
  readonly lookup: NameLookup;
  readonly log: Logger;
}

export interface RoutesHealth {
  /** Of the newest entry that was seen. */
  readonly revision: number;
  /** How often all was read again, after a hole or a lost connection. */
  readonly resyncs: number;
  /** All is being read at this moment. */
  readonly reading: boolean;
  /** Since the last change. */
  readonly quiet_ms: number;
  /** Since the server was last heard of by the watch; it speaks every second. */
  readonly heard_ms: number;
}

const LOOK_MS = 5;

/** One change of the bucket; `value` is undefined where the key was removed. */
export interface RouteChange {
  readonly key: string;
  readonly value: Uint8Array | undefined;
}

/** What changes are applied to. */
export type Applied = Pick<RoutesWatchOptions, 'table' | 'lookup' | 'log'>;

/** Applies one change; an entry that cannot be read or used is logged and left out. */
export function applyChange(o: Applied, change: RouteChange): void {
  const key = parseRouteKey(change.key);
  if (key === undefined || !APPLY[key.kind](o, key.org, key.id, change.value)) {
    o.log.error({ key: change.key }, 'a route in the bucket cannot be used');
  }
}

/** False when the value cannot be used. */
type Apply = (o: Applied, org: string, id: string, value: Uint8Array | undefined) => boolean;

const APPLY: Readonly<Record<'agent' | 'node' | 'channel', Apply>> = {
  agent(o, org, id, value) {
    if (value === undefined) {
      const gone = o.table.remove(org, id);
      if (gone !== undefined) o.lookup.forget(org, gone.folded);
      return true;
    }
    const entry = read(() => routeEntry(org, Route.decode(value)));
    if (entry?.agent !== id) return false;
    const before = o.table.agent(org, id);
    o.table.put(entry);
    o.lookup.forget(org, entry.folded);
    if (before !== undefined) o.lookup.forget(org, before.folded);
    return true;
  },
  node(o, org, id, value) {
    if (value === undefined) {
      o.table.removeNode(org, id);
      return true;
    }
    const route = read(() => NodeRoute.decode(value));
    if (route?.node !== id) return false;
    o.table.putNode(org, route);
    return true;
  },
  channel(o, org, id, value) {
    if (value === undefined) {
      o.table.removeChannel(org, id);
      return true;
    }
    const route = read(() => ChannelRoute.decode(value));
    if (route?.channel !== id || !isName(route.name)) return false;
    o.table.putChannel(org, route);
    return true;
  },
};

function read<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}

export class RoutesWatch {
  readonly name = 'routes watch';
  readonly #options: RoutesWatchOptions;
  #watch: BucketWatch | undefined;
  #changedMs = performance.now();

  constructor(options: RoutesWatchOptions) {
    this.#options = options;
  }

  /** Resolves when the table holds all that was in the bucket. */
  async start(): Promise<void> {
    await new Promise<void>((loaded, failed) => {
      this.#options.bucket
        .watch((entry) => {
          this.#changedMs = performance.now();
          applyChange(this.#options, entry);
        }, loaded)
        .then((watch) => {
          this.#watch = watch;
        }, failed);
    });
    const { table, log } = this.#options;
    log.info({ routes: table.size, ...table.counts }, 'the routing table is loaded');
  }

  async stop(): Promise<void> {
    this.#watch?.stop();
  }

  /**
   * False when the table has not come to where the bucket was at the call within the time. Asked under each new lease of a
   * partition: who was paused meanwhile must not route by what was so before, since an agent may have moved.
   */
  async caughtUp(withinMs: number): Promise<boolean> {
    const { bucket, clock } = this.#options;
    const until = clock.monotonicMs() + withinMs;
    const wanted = await bucket.position();
    while ((this.#watch?.position ?? 0) < wanted) {
      if (clock.monotonicMs() >= until) return false;
      await pause(LOOK_MS);
    }
    return true;
  }

  /** How well the table follows: with `reading`, or a `heard_ms` of more than seconds, it may be behind. */
  health(): RoutesHealth | undefined {
    const status = this.#watch?.status();
    if (status === undefined) return undefined;
    const { revision, readings, reading, heardMs } = status;
    const quietMs = performance.now() - this.#changedMs;
    return {
      revision,
      resyncs: readings - 1,
      reading,
      quiet_ms: Math.round(quietMs),
      heard_ms: Math.round(heardMs),
    };
  }
}
