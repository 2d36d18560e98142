/**
 * Tells others what was committed: events to EVENTS in order, then the org's state to fw-orgs, then the rows go. Any
 * replica does so at any time, without a lock: a repeated event has the same id, and an older state never replaces a
 * newer one. At least once. Orgs do not wait for each other.
 */

import type { Broker, Bucket } from '@fleetwire/broker';
import { ERROR_TABLE, eventSubject } from '@fleetwire/contract';
import { OrgState } from '@fleetwire/gen/access';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import {
  asFleetwireError,
  backoffMs,
  type Clock,
  type FleetwireError,
  nowMs,
  pause,
} from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import type { Logger } from '@fleetwire/telemetry';
import { orgState } from '../store/org-state.ts';

export interface RelayParts {
  readonly store: Store;
  readonly broker: Pick<Broker, 'store' | 'onGeneration'>;
  readonly bucket: Bucket;
  readonly clock: Clock;
  readonly log: Logger;
  /** Between two looks for what other replicas have left behind. */
  readonly intervalMs: number;
}

interface Row {
  readonly id: number;
  readonly event_id: string;
  readonly org: string;
  readonly name: string;
  readonly actor: string;
  readonly target: string;
  readonly details: Readonly<Record<string, string>>;
  readonly at_ms: number;
  readonly traceparent: string;
}

interface Fault {
  /** The org's own: the others go on. */
  readonly own: boolean;
  readonly error: FleetwireError;
}

const BATCH = 200;
/** States that are told at the same time. */
const STATES_SLICE = 32;
/** How long an org whose state cannot be told is left out. */
const HELD_MS = 10_000;
/** Between two looks at what is published of every org. */
const REBUILD_MS = 300_000;
/** The bucket or the stream is gone, which is nothing that one org could help. */
const LOST = new Set(['BUCKET_MISSING', 'STREAM_MISSING']);
/** After every id. */
const DONE = '~';
const BACKOFF = { initialMs: 100, maxMs: 2000 };

export class Relay {
  readonly name = 'relay';
  readonly #parts: RelayParts;
  /** Ends the pause; rung while something is told, it leaves the next pause out. */
  #bell = new AbortController();
  /** The last org whose state was told anew. */
  #rebuilt = '';
  #rebuiltAtMs = performance.now();
  /** Counts the beginnings. */
  #rebuilds = 0;
  /** Orgs that are left out, until when by the monotonic clock. */
  readonly #held = new Map<string, number>();
  #stopping = false;
  #loop: Promise<void> | undefined;
  #unlisten: (() => void) | undefined;
  #failures = 0;

  constructor(parts: RelayParts) {
    this.#parts = parts;
  }

  start(): void {
    // A server that came back may have lost the bucket.
    this.#unlisten = this.#parts.broker.onGeneration(() => {
      this.#rebuildSoon();
      this.kick();
    });
    this.#loop = this.#run();
  }

  /** There is something to tell. */
  kick(): void {
    this.#bell.abort();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#unlisten?.();
    this.kick();
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      let pauseMs = this.#parts.intervalMs;
      this.#bell = new AbortController();
      try {
        this.#rebuildNowAndThen();
        // What has just been committed comes before what others should know already.
        while (!this.#stopping && (await this.#tell()) === BATCH);
        if (this.#rebuilt !== DONE) await this.#tellSomeStates();
        this.#failures = 0;
      } catch (error) {
        pauseMs = backoffMs(BACKOFF, this.#failures++);
        const { reason, message } = asFleetwireError(error);
        // Bootstrap makes an empty one.
        if (LOST.has(reason)) this.#rebuildSoon();
        if (this.#failures === 1) this.#parts.log.warn({ reason, message }, 'events wait to be published');
        // What has failed waits, also when it was rung for meanwhile.
        this.#bell = new AbortController();
      }
      if (!this.#stopping && (this.#rebuilt === DONE || this.#failures > 0))
        await pause(pauseMs, this.#bell.signal);
    }
  }

  /** Nobody says that an entry was lost; a look at all of them is cheap. */
  #rebuildNowAndThen(): void {
    const now = performance.now();
    if (this.#rebuilt !== DONE || now - this.#rebuiltAtMs < REBUILD_MS) return;
    this.#rebuiltAtMs = now;
    this.#rebuildSoon();
  }

  /** From the first org on, also when a slice is being told at this moment. */
  #rebuildSoon(): void {
    this.#rebuilds += 1;
    this.#rebuilt = '';
  }

  /**
   * One batch; gives its size. An org whose events or state cannot be told holds up no other: its rows wait.
   */
  async #tell(): Promise<number> {
    const { store } = this.#parts;
    const held = [...this.#held].filter(([, until]) => until > performance.now()).map(([org]) => org);
    const rows = await store.query<Row>(
      'select * from event_outbox where not (org = any($2)) order by id limit $1',
      [BATCH, held],
    );
    const byOrg = Map.groupBy(rows, ({ org }) => org);
    const outcomes = await Promise.all([...byOrg].map(([org, own]) => this.#tellOrg(org, own)));
    const fault = outcomes.find((outcome) => outcome !== undefined);
    // The broker is away: that is no fault of an org.
    if (fault !== undefined && !fault.own) throw fault.error;
    return rows.length;
  }

  async #tellOrg(org: string, rows: readonly Row[]): Promise<Fault | undefined> {
    const { store, log } = this.#parts;
    try {
      for (const row of rows) await this.#tellEvent(row);
      await this.#tellState(org);
      await store.query('delete from event_outbox where id = any($1)', [rows.map(({ id }) => id)]);
      this.#held.delete(org);
      return undefined;
    } catch (thrown) {
      const error = asFleetwireError(thrown);
      const own = isOwnFault(error);
      if (own) {
        this.#held.set(org, performance.now() + HELD_MS);
        log.error({ org, reason: error.reason, err: error }, 'an org cannot be told; the others are');
      }
      return { own, error };
    }
  }

  async #tellEvent(row: Row): Promise<void> {
    const subject = eventSubject.build({ org: row.org, service: 'org', name: row.name });
    const { traceparent } = row;
    await this.#parts.broker.store(subject, encode(Event, eventOf(row)), {
      msgId: row.event_id,
      ...(traceparent === '' ? {} : { traceparent }),
    });
  }

  /** A slice of what is told anew at start and after a reconnect. */
  async #tellSomeStates(): Promise<void> {
    const begun = this.#rebuilds;
    const rows = await this.#parts.store.query<{ id: string }>(
      'select id from orgs where id > $1 order by id limit $2',
      [this.#rebuilt, STATES_SLICE],
    );
    const told = rows.map(({ id }) => this.#tellState(id).catch((error: unknown) => this.#untold(id, error)));
    await Promise.all(told);
    if (begun === this.#rebuilds) this.#rebuilt = rows.length < STATES_SLICE ? DONE : rows.at(-1)!.id;
  }

  #untold(org: string, thrown: unknown): void {
    const error = asFleetwireError(thrown);
    if (!isOwnFault(error)) throw error;
    this.#parts.log.error({ org, reason: error.reason, err: error }, 'the state of an org cannot be told');
  }

  async #tellState(org: string): Promise<void> {
    const { store, bucket, clock } = this.#parts;
    const now = nowMs(clock);
    const state = await store.transaction(({ query }) => orgState(query, org, now));
    if (state === undefined) return;
    const value = encode(OrgState, state);
    // Lost races end: each one was won by a version that is at least as high as another's.
    for (;;) {
      const held = await bucket.get(org);
      const heldVersion = held === undefined ? -1 : OrgState.decode(held.value).version;
      if (heldVersion >= state.version) {
        const same = heldVersion === state.version && Buffer.compare(held!.value, value) === 0;
        if (same || !(await this.#overtake(org, state.version, heldVersion))) return;
        return this.#tellState(org);
      }
      try {
        await (held === undefined ? bucket.create(org, value) : bucket.update(org, value, held.revision));
        return;
      } catch (error) {
        if (asFleetwireError(error).kind !== 'aborted' && asFleetwireError(error).kind !== 'already_exists')
          throw error;
      }
    }
  }

  /**
   * True when the database still says what was read and yet is behind what was published, as after it was brought back from
   * a backup: it counts, so its version is set above. Otherwise another replica was quicker with a newer state.
   */
  async #overtake(org: string, read: number, published: number): Promise<boolean> {
    const raised = await this.#parts.store.query(
      'update orgs set state_version = $3 + 1 where id = $1 and state_version = $2 returning id',
      [org, read, published],
    );
    return raised.length > 0;
  }
}

/** Trying again would not help, and others are not concerned. */
function isOwnFault({ kind, reason }: FleetwireError): boolean {
  return !LOST.has(reason) && (!ERROR_TABLE[kind].retryable || reason === 'PAYLOAD_TOO_LARGE');
}

function eventOf(row: Row): Event {
  return {
    id: row.event_id,
    org: row.org,
    service: 'org',
    name: row.name,
    atMs: row.at_ms,
    actor: row.actor,
    target: row.target,
    details: { ...row.details },
    usage: undefined,
  };
}
