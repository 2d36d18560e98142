/** Writes the routing table: one entry for each agent, channel and node in a key-value bucket that routers and others watch. */

import type { Bucket, WatchEntry } from '@fleetwire/broker';
import { routeKey } from '@fleetwire/contract';
import { FleetwireError, slices } from '@fleetwire/kernel';
import { isOutdated, type PresentEntry, type WantedEntry } from '../domain/route-diff.ts';
import type { PlacedAgent } from '../store/agents.ts';
import type { ChannelWriter } from './channel-writer.ts';
import { agentEntry, epochOf } from './entries.ts';

/** Somebody else's write between our reading and our writing; more than a few in a row do not happen. */
const TRIES = 8;
const RACES = ['KEY_EXISTS', 'REVISION_CONFLICT', 'PUBLISH_IN_DOUBT'];
const AT_ONCE = 64;

/** What is in the bucket at one moment. */
export interface TableRead {
  readonly entries: Map<string, PresentEntry>;
  /** What remembers entries that were removed. */
  readonly markers: readonly Marker[];
}

export interface Marker {
  readonly key: string;
  readonly revision: number;
  /** Broker time, microseconds. */
  readonly storedAtUs: number;
}

export interface RouteTableOptions {
  readonly bucket: Bucket;
  /** Told of each key before its entry is written or removed here. */
  readonly onTouched?: (key: string) => void;
  readonly channels?: ChannelWriter;
  /** Takes those of these entries away whose agent, channel or node is gone. */
  readonly removeGone?: (keys: readonly string[]) => Promise<unknown>;
}

export class RouteTable {
  readonly #bucket: Bucket;
  readonly #o: RouteTableOptions;

  constructor(options: RouteTableOptions) {
    this.#bucket = options.bucket;
    this.#o = options;
  }

  /** Resolves when the table has the agent's route, or a later one. `fresh`: it is most likely not there yet. */
  ensure(agent: PlacedAgent, fresh = false): Promise<void> {
    const [key, entry] = agentEntry(agent);
    return this.ensureEntry(key, entry, fresh);
  }

  async ensureMany(agents: readonly PlacedAgent[]): Promise<void> {
    for (const some of slices(agents, AT_ONCE))
      await Promise.all(some.map((agent) => this.ensure(agent, true)));
  }

  /** Resolves when the table has the members that the channels have now, or had later. */
  async ensureChannels(ids: readonly string[]): Promise<void> {
    const { channels } = this.#o;
    if (channels !== undefined) await Promise.all(ids.map((id) => channels.write(id, this)));
  }

  /** As `ensure`. */
  ensureEntry(key: string, wanted: WantedEntry, fresh = false): Promise<void> {
    const outdated = (bytes: Uint8Array) => isOutdated({ epoch: epochOf(key, bytes), bytes }, wanted);
    return this.change(key, (there) => (there && !outdated(there) ? undefined : wanted.bytes), fresh);
  }

  /**
   * The only way that entries are written: `decide` gives what comes in place of what is there, undefined: it stays. It is
   * asked again when somebody else was faster.
   */
  async change(
    key: string,
    decide: (there: Uint8Array | undefined) => Uint8Array | undefined,
    fresh = false,
  ): Promise<void> {
    this.#o.onTouched?.(key);
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const entry = fresh && attempt === 0 ? undefined : await this.#bucket.get(key);
      const bytes = decide(entry?.value);
      if (bytes === undefined) return;
      try {
        if (entry) await this.#bucket.update(key, bytes, entry.revision);
        else if (attempt === 0) await this.#bucket.update(key, bytes, 0);
        else await this.#revive(key, bytes);
        return;
      } catch (error) {
        if (!isRace(error)) throw error;
      }
    }
    throw new FleetwireError('aborted', 'ROUTE_CONTENDED', 'the route is being written by others', {
      retryAfterMs: 100,
    });
  }

  /** An entry was removed here: of one who was faster than we, unless PostgreSQL says otherwise. */
  async #revive(key: string, bytes: Uint8Array): Promise<void> {
    await this.#bucket.create(key, bytes);
    await this.#o.removeGone?.([key]);
  }

  /** Only of what is gone from PostgreSQL. It is noted also where no entry is yet: who is about to write it will see. */
  remove(org: string, id: string): Promise<void> {
    const key = routeKey(org, id);
    this.#o.onTouched?.(key);
    return this.#bucket.delete(key);
  }

  async removeMany(gone: readonly { readonly org: string; readonly id: string }[]): Promise<void> {
    for (const some of slices(gone, AT_ONCE))
      await Promise.all(some.map(({ org, id }) => this.remove(org, id)));
  }

  /** Idempotent; leaves nothing behind where there is no entry. */
  async removeKey(key: string): Promise<void> {
    this.#o.onTouched?.(key);
    if (await this.#bucket.get(key)) await this.#bucket.delete(key);
  }

  /** Keys of the entries of an org. */
  keysOf(org: string): Promise<string[]> {
    return this.#bucket.keys(routeKey(org, '*'));
  }

  /** The bucket forgets that there was an entry, unless it was written again. */
  forget({ key, revision }: Marker): Promise<void> {
    return this.#bucket.purge(key, revision);
  }

  /** All there is at this moment; rejects when `over` aborts first. */
  async readAll(over: AbortSignal): Promise<TableRead> {
    const entries = new Map<string, PresentEntry>();
    const markers = new Map<string, Marker>();
    const read = Promise.withResolvers<void>();
    const giveUp = () => read.reject(over.reason);
    const onEntry = ({ key, value, revision, storedAtUs }: WatchEntry) => {
      if (value === undefined) {
        entries.delete(key);
        if (revision > 0) markers.set(key, { key, revision, storedAtUs });
      } else {
        markers.delete(key);
        entries.set(key, { epoch: epochOf(key, value), bytes: value, revision });
      }
    };
    over.throwIfAborted();
    over.addEventListener('abort', giveUp);
    const watch = await this.#bucket.watch(onEntry, read.resolve, { onClosed: read.reject, removals: true });
    try {
      await read.promise;
    } finally {
      over.removeEventListener('abort', giveUp);
      watch.stop();
    }
    return { entries, markers: [...markers.values()] };
  }
}

/** Somebody else wrote, or it is not known whether we did: look again. */
function isRace(error: unknown): boolean {
  return error instanceof FleetwireError && RACES.includes(error.reason);
}
