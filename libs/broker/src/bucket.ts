/** A key-value bucket in the layout of NATS KV (ADR-8), with compare-and-set and a watch that survives reconnects. */

import type { BucketSpec } from '@fleetwire/contract';
import { FleetwireError } from '@fleetwire/kernel';
import type { BucketEntry } from './bucket-entry.ts';
import { isRemoval, OPERATION_HEADER } from './bucket-entry.ts';
import type { BucketWatch, WatchEntry, WatchOptions, WatchPorts } from './bucket-watch.ts';
import { baseOf, startWatch } from './bucket-watch.ts';
import type { Correlator } from './correlator.ts';
import { differences, report } from './drift.ts';
import { headerBlock, headerLine } from './headers.ts';
import { storeWith } from './publisher.ts';
import type { StoredMessage, StoredMessages } from './stored-messages.ts';
import { drift, streamInfo } from './streams.ts';

/** Writes reject unavailable PUBLISH_IN_DOUBT when it is not known whether they were stored: read to find out. */
export interface Bucket {
  readonly spec: BucketSpec;
  get(key: string): Promise<BucketEntry | undefined>;
  /** Resolves with the new revision. */
  put(key: string, value: Uint8Array): Promise<number>;
  /** Only where there is no entry; rejects already_exists KEY_EXISTS. */
  create(key: string, value: Uint8Array): Promise<number>;
  /** Only over exactly this revision; rejects aborted REVISION_CONFLICT. */
  update(key: string, value: Uint8Array, revision: number, o?: { timeoutMs?: number }): Promise<number>;
  /** With `revision` only over exactly that one; rejects aborted REVISION_CONFLICT. */
  delete(key: string, revision?: number): Promise<void>;
  /** Forgets the key altogether, as far as it was written up to `revision`: nobody learns any more that it was removed. */
  purge(key: string, revision: number): Promise<void>;
  /** Keys that have an entry; `filter` like a subject. */
  keys(filter?: string): Promise<string[]>;
  /**
   * Of the newest entry or removal that is there (what was purged is not); a watch that has all comes to it. Grows with the
   * revisions, and also when the bucket is deleted and made anew, which counts these from 1 again.
   */
  position(): Promise<number>;
  /**
   * Calls `onEntry` with each entry that is there, then `onInitialized` once, then `onEntry` with each change; a deleted
   * entry has no value. After a lost connection or a hole everything is read again: what changed meanwhile is told,
   * deletions included. An entry that lapses by the bucket's TTL is not told of until then.
   */
  watch(
    onEntry: (entry: WatchEntry) => void,
    onInitialized?: () => void,
    o?: WatchOptions,
  ): Promise<BucketWatch>;
}

/** What buckets need of the broker. */
export interface BucketPorts extends WatchPorts {
  readonly correlator: Correlator;
  readonly messages: StoredMessages;
  readonly publishTimeoutMs: number;
}

const EXPECTED = 'Nats-Expected-Last-Subject-Sequence';
const KEY = /^[-/_=.a-zA-Z0-9]+$/;
const NOTHING = new Uint8Array(0);

/** Rejects failed_precondition: BUCKET_MISSING, BUCKET_DRIFT. */
export async function openBucket(ports: BucketPorts, spec: BucketSpec): Promise<Bucket> {
  const info = await streamInfo(ports.api, streamOf(spec));
  if (info === undefined) {
    throw new FleetwireError('failed_precondition', 'BUCKET_MISSING', `no bucket ${spec.name}`, {
      help: 'Run `fleetwire bootstrap` against these servers.',
    });
  }
  const list = differences(streamConfig(spec), info.config);
  if (list.length > 0) throw drift('BUCKET_DRIFT', [report(`bucket ${spec.name}`, list)]);
  return new KeyValueBucket(ports, spec);
}

/** Creates it when it is missing, never alters it, then verifies. */
export async function ensureBucket(ports: BucketPorts, spec: BucketSpec, replicas: number): Promise<void> {
  if ((await streamInfo(ports.api, streamOf(spec))) === undefined) {
    const config = { ...streamConfig(spec), num_replicas: replicas };
    await ports.api.call(`STREAM.CREATE.${streamOf(spec)}`, config);
  }
  await openBucket(ports, spec);
}

function streamOf(spec: BucketSpec): string {
  return `KV_${spec.name}`;
}

function streamConfig(spec: BucketSpec): Record<string, unknown> {
  const ageNs = spec.ttl_ms * 1e6;
  const windowNs = 120e9;
  return {
    name: streamOf(spec),
    subjects: [`$KV.${spec.name}.>`],
    retention: 'limits',
    storage: 'file',
    discard: 'new',
    max_msgs_per_subject: spec.history,
    max_bytes: spec.max_bytes,
    max_age: ageNs,
    duplicate_window: ageNs > 0 ? Math.min(ageNs, windowNs) : windowNs,
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_direct: true,
  };
}

class KeyValueBucket implements Bucket {
  readonly spec: BucketSpec;
  readonly #ports: BucketPorts;
  readonly #prefix: string;

  constructor(ports: BucketPorts, spec: BucketSpec) {
    this.#ports = ports;
    this.spec = spec;
    this.#prefix = `$KV.${spec.name}.`;
  }

  async get(key: string): Promise<BucketEntry | undefined> {
    const message = await this.#last(key);
    if (message === undefined || isRemoval(message)) return undefined;
    return { key, value: message.data, revision: message.sequence, storedAtUs: message.storedAtUs };
  }

  put(key: string, value: Uint8Array): Promise<number> {
    return this.#write(key, value, '');
  }

  async create(key: string, value: Uint8Array): Promise<number> {
    try {
      return await this.update(key, value, 0);
    } catch (error) {
      if (!isConflict(error)) throw error;
      const last = await this.#last(key);
      if (last !== undefined && !isRemoval(last)) throw exists(key, error);
      try {
        return await this.update(key, value, last?.sequence ?? 0);
      } catch (again) {
        throw isConflict(again) ? exists(key, again) : again;
      }
    }
  }

  update(key: string, value: Uint8Array, revision: number, o?: { timeoutMs?: number }): Promise<number> {
    return this.#write(key, value, headerLine(EXPECTED, String(revision)), o?.timeoutMs);
  }

  async delete(key: string, revision?: number): Promise<void> {
    const expected = revision === undefined ? '' : headerLine(EXPECTED, String(revision));
    await this.#write(key, NOTHING, headerLine(OPERATION_HEADER, 'DEL') + expected);
  }

  async purge(key: string, revision: number): Promise<void> {
    const body = { filter: this.#subject(key), seq: revision + 1 };
    await this.#ports.api.call(`STREAM.PURGE.${streamOf(this.spec)}`, body);
  }

  async keys(filter = '>'): Promise<string[]> {
    const found = new Set<string>();
    const all = Promise.withResolvers<void>();
    const onEntry = (entry: WatchEntry) => {
      if (entry.value === undefined) found.delete(entry.key);
      else found.add(entry.key);
    };
    const watch = await this.watch(onEntry, all.resolve, { filter, keysOnly: true, onClosed: all.reject });
    try {
      await all.promise;
    } finally {
      watch.stop();
    }
    return [...found];
  }

  async position(): Promise<number> {
    const { api, messages } = this.#ports;
    const stream = streamOf(this.spec);
    const last = await messages.lastBySubject(stream, `${this.#prefix}>`);
    // Asked after it: should the stream be made anew in between, this is too far rather than not far enough.
    return (await baseOf(api, stream)) + (last?.sequence ?? 0);
  }

  watch(
    onEntry: (entry: WatchEntry) => void,
    onInitialized?: () => void,
    o?: WatchOptions,
  ): Promise<BucketWatch> {
    return startWatch(this.#ports, this.spec.name, onEntry, onInitialized ?? (() => undefined), o ?? {});
  }

  #last(key: string): Promise<StoredMessage | undefined> {
    return this.#ports.messages.lastBySubject(streamOf(this.spec), this.#subject(key));
  }

  async #write(key: string, value: Uint8Array, lines: string, timeoutMs?: number): Promise<number> {
    const { correlator, publishTimeoutMs } = this.#ports;
    const withinMs = timeoutMs ?? publishTimeoutMs;
    const stored = await storeWith(correlator, this.#subject(key), headerBlock(lines), value, withinMs);
    return stored.sequence;
  }

  #subject(key: string): string {
    if (KEY.test(key) && !key.startsWith('.') && !key.endsWith('.')) return this.#prefix + key;
    throw new FleetwireError('invalid_argument', 'INVALID_KEY', `${JSON.stringify(key)} is not a key`);
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof FleetwireError && error.reason === 'REVISION_CONFLICT';
}

function exists(key: string, cause: unknown): FleetwireError {
  return new FleetwireError('already_exists', 'KEY_EXISTS', `there is an entry ${key}`, { cause });
}
