/** Follows a bucket: reads all that is there, then every change; after any doubt reads all again and tells what differs. */

import { FleetwireError, pause } from '@fleetwire/kernel';
import { isRemoval } from './bucket-entry.ts';
import { infoOf } from './consumers.ts';
import type { Link } from './link.ts';
import type { PullLoop, PullOptions } from './pull-session.ts';
import type { JetstreamApi } from './request.ts';
import { microsOf } from './stored-messages.ts';
import { streamInfo } from './streams.ts';

export interface WatchEntry {
  readonly key: string;
  /** Undefined: the entry is gone. Empty when only keys were asked for. */
  readonly value: Uint8Array | undefined;
  /** 0 where only its absence shows that the entry is gone. */
  readonly revision: number;
  /** As `Bucket.position`; of an entry that is gone by its absence that of the entry. */
  readonly position: number;
  /** When the bucket took it, broker time in microseconds; 0 where only its absence shows that it is gone. */
  readonly storedAtUs: number;
}

export interface WatchOptions {
  /** Like a subject, over keys. Default: all. */
  readonly filter?: string | undefined;
  /** Also tells of entries that were removed before the watch began, as far as the bucket remembers. */
  readonly removals?: boolean | undefined;
  /** Values are left out. */
  readonly keysOnly?: boolean | undefined;
  /** The broker was closed while the watch was on. */
  readonly onClosed?: ((error: unknown) => void) | undefined;
}

export interface BucketWatch {
  /** How far it has come, in the counting of `Bucket.position`; 0: nowhere yet. */
  readonly position: number;
  stop(): void;
  status(): WatchStatus;
}

/** How well a watch follows its bucket. */
export interface WatchStatus {
  /** Of the newest entry that was seen; 0 before the first. */
  readonly revision: number;
  /** How often all was read: 1 at the beginning, one more after each hole or lost connection. */
  readonly readings: number;
  /** Not all that there is has been told: it is being read, or cannot be at this moment. */
  readonly reading: boolean;
  /** Milliseconds since the server last said anything; it does every second. */
  readonly heardMs: number;
}

export interface WatchPorts {
  readonly link: Link;
  readonly api: JetstreamApi;
  readonly pull: (stream: string, consumer: string, o: PullOptions) => PullLoop;
}

const BATCH = 1000;
const BATCH_BYTES = 4 * 1024 * 1024;
/** The server drops the consumer of a watch that is gone after this time. */
const INACTIVE_NS = 30e9;
const RETRY_MS = 250;
/** Between two looks whether a reading that has not ended ever will. */
const LOOK_MS = 1000;

/** Rejects when the first reading cannot begin; later faults are retried for ever. */
export async function startWatch(
  ports: WatchPorts,
  bucket: string,
  onEntry: (entry: WatchEntry) => void,
  onInitialized: () => void,
  o: WatchOptions,
): Promise<BucketWatch> {
  const watch = new Watch(ports, bucket, onEntry, onInitialized, o);
  await watch.begin();
  return watch;
}

/** More revisions than this a bucket does not count in a millisecond; so times and revisions in one fit a number until 2248. */
const PER_MS = 1024;

/**
 * Of a stream that was deleted and made anew the sequences begin at 1 again. From here on they count in the positions of
 * this one: above all that those before it came to. Throws BUCKET_MISSING.
 */
export async function baseOf(api: JetstreamApi, stream: string): Promise<number> {
  const info = await streamInfo(api, stream);
  if (info === undefined) throw new FleetwireError('unavailable', 'BUCKET_MISSING', `no stream ${stream}`);
  return Math.floor(microsOf(info.created) / 1000) * PER_MS;
}

interface Reading {
  readonly name: string;
  readonly pending: number;
  readonly base: number;
}

class Watch implements BucketWatch {
  readonly #ports: WatchPorts;
  readonly #stream: string;
  readonly #prefix: string;
  readonly #onEntry: (entry: WatchEntry) => void;
  readonly #onInitialized: () => void;
  readonly #o: WatchOptions;
  readonly #stopping = new AbortController();
  /** What was told as being there: key to position. */
  readonly #known = new Map<string, number>();
  /** While all is read: keys that were seen in this reading. */
  #seen: Set<string> | undefined = new Set();
  #initialized = false;
  #session: PullLoop | undefined;
  #position = 0;
  #base = 0;
  /** Entries that were delivered in this reading. */
  #delivered = 0;
  #revision = 0;
  #readings = 0;

  constructor(
    ports: WatchPorts,
    bucket: string,
    onEntry: (entry: WatchEntry) => void,
    onInitialized: () => void,
    o: WatchOptions,
  ) {
    this.#ports = ports;
    this.#stream = `KV_${bucket}`;
    this.#prefix = `$KV.${bucket}.`;
    this.#onEntry = onEntry;
    this.#onInitialized = onInitialized;
    this.#o = o;
  }

  async begin(): Promise<void> {
    const reading = await this.#open();
    void this.#run(reading);
  }

  get position(): number {
    return this.#position;
  }

  stop(): void {
    this.#stopping.abort();
    void this.#session?.stop();
  }

  status(): WatchStatus {
    const heardMs = this.#session?.silentMs ?? 0;
    const reading = this.#seen !== undefined || this.#session?.over === true;
    return { revision: this.#revision, readings: this.#readings, reading, heardMs };
  }

  async #run(first: Reading): Promise<void> {
    let reading: Reading | undefined = first;
    while (!this.#stopping.signal.aborted && !this.#ports.link.closed) {
      if (reading === undefined) await pause(RETRY_MS, this.#stopping.signal);
      else await this.#read(reading);
      reading = await this.#open().catch(() => undefined);
    }
    if (reading !== undefined) await this.#drop(reading.name);
    if (this.#ports.link.closed) this.#o.onClosed?.(closed());
  }

  /** An ephemeral consumer that begins with the last message of each key. */
  async #open(): Promise<Reading> {
    if (this.#stopping.signal.aborted) throw closed();
    const config = {
      deliver_policy: 'last_per_subject',
      ack_policy: 'none',
      filter_subject: `${this.#prefix}${this.#o.filter ?? '>'}`,
      replay_policy: 'instant',
      inactive_threshold: INACTIVE_NS,
      mem_storage: true,
      num_replicas: 1,
      headers_only: this.#o.keysOnly === true,
    };
    const body = { stream_name: this.#stream, config };
    const made = await this.#ports.api.call<{ name: string; num_pending: number }>(
      `CONSUMER.CREATE.${this.#stream}`,
      body,
    );
    // Asked after it was made: of a stream that is another one by now it has nothing to deliver.
    const base = await baseOf(this.#ports.api, this.#stream);
    return { name: made.name, pending: made.num_pending, base };
  }

  /** Until the session ends by doubt or by `stop`. */
  async #read(reading: Reading): Promise<void> {
    const seen = new Set<string>();
    this.#seen = seen;
    this.#delivered = 0;
    this.#readings++;
    if (reading.base !== this.#base) {
      this.#base = this.#position = reading.base;
      this.#revision = 0;
    }
    if (reading.pending === 0) this.#complete();
    this.#session = this.#ports.pull(this.#stream, reading.name, {
      batch: BATCH,
      maxBytes: BATCH_BYTES,
      firstDelivery: 1,
      onDoubt: () => undefined,
    });
    if (this.#stopping.signal.aborted) void this.#session.stop();
    const looking = setInterval(() => void this.#lookForEnd(reading.name, seen), LOOK_MS).unref();
    try {
      await this.#take(this.#session, reading);
    } finally {
      clearInterval(looking);
    }
    await this.#drop(reading.name);
  }

  async #take(session: PullLoop, reading: Reading): Promise<void> {
    for await (const batch of session) {
      for (const message of batch) {
        if (this.#stopping.signal.aborted) return;
        const key = message.subject.slice(this.#prefix.length);
        this.#tell(key, isRemoval(message) ? undefined : message.data, message);
        this.#position = this.#base + message.sequence;
        this.#delivered += 1;
        if (this.#seen !== undefined && this.#delivered >= reading.pending) this.#complete();
      }
    }
  }

  /** Entries that lapse while all is read never come: then it is the server that knows that nothing more will. */
  async #lookForEnd(consumer: string, reading: Set<string>): Promise<void> {
    if (this.#seen !== reading || !this.#ports.link.up) return;
    const info = await infoOf(this.#ports.api, this.#stream, consumer).catch(() => undefined);
    if (info === undefined || this.#seen !== reading) return;
    if (info.num_pending === 0 && info.delivered.consumer_seq === this.#delivered) this.#complete();
  }

  #tell(
    key: string,
    value: Uint8Array | undefined,
    { sequence: revision, storedAtUs }: { readonly sequence: number; readonly storedAtUs: number },
  ): void {
    this.#seen?.add(key);
    if (revision > this.#revision) this.#revision = revision;
    const position = this.#base + revision;
    const before = this.#known.get(key);
    const newToUs = value === undefined && before === undefined;
    if (before === position || (newToUs && this.#o.removals !== true)) return;
    if (value === undefined) this.#known.delete(key);
    else this.#known.set(key, position);
    this.#ports.link.guard(() => this.#onEntry({ key, value, revision, position, storedAtUs }));
  }

  /** All that was there has been read: what was known and was not seen again is gone. */
  #complete(): void {
    const seen = this.#seen!;
    this.#seen = undefined;
    for (const [key, position] of this.#known) {
      if (seen.has(key)) continue;
      this.#known.delete(key);
      this.#ports.link.guard(() =>
        this.#onEntry({ key, value: undefined, revision: 0, position, storedAtUs: 0 }),
      );
    }
    if (this.#initialized) return;
    this.#initialized = true;
    this.#ports.link.guard(this.#onInitialized);
  }

  async #drop(consumer: string): Promise<void> {
    await this.#ports.api.call(`CONSUMER.DELETE.${this.#stream}.${consumer}`).catch(() => undefined); // it lapses by itself
  }
}

function closed(): FleetwireError {
  return new FleetwireError('cancelled', 'WATCH_CLOSED', 'the watch was closed');
}
