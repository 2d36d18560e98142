/**
 * Tells others what was committed: events to EVENTS in order, then the org's state to fw-orgs, then the rows go. Any
 * replica does so at any time, without a lock: a repeated event has the same id, and an older state never replaces a
 * newer one. At least once.
 */

import type { Broker, Bucket } from '@fleetwire/broker';
import { eventSubject } from '@fleetwire/contract';
import { OrgState } from '@fleetwire/gen/access';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { asFleetwireError, backoffMs, type Clock } from '@fleetwire/kernel';
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

const BATCH = 200;
const STATES_PAGE = 500;
const BACKOFF = { initialMs: 100, maxMs: 2000 };

export class Relay {
  readonly name = 'relay';
  readonly #parts: RelayParts;
  #wake: (() => void) | undefined;
  #due = true;
  #rebuild = true;
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
      this.#rebuild = true;
      this.kick();
    });
    this.#loop = this.#run();
  }

  /** There is something to tell. */
  kick(): void {
    this.#due = true;
    this.#wake?.();
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
      try {
        this.#due = false;
        if (this.#rebuild) await this.#tellAllStates();
        while (!this.#stopping && (await this.#tell()) === BATCH);
        this.#failures = 0;
      } catch (error) {
        pauseMs = backoffMs(BACKOFF, this.#failures++);
        const { reason, message } = asFleetwireError(error);
        if (this.#failures === 1) this.#parts.log.warn({ reason, message }, 'events wait to be published');
        this.#due = false;
      }
      if (!this.#stopping && !this.#due) await this.#pause(pauseMs);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#wake = done;
    });
  }

  /** One batch; gives the number of events told. */
  async #tell(): Promise<number> {
    const { store, broker } = this.#parts;
    const rows = await store.query<Row>('select * from event_outbox order by id limit $1', [BATCH]);
    if (rows.length === 0) return 0;
    for (const row of rows) {
      const subject = eventSubject.build({ org: row.org, service: 'org', name: row.name });
      const { traceparent } = row;
      await broker.store(subject, encode(Event, eventOf(row)), {
        msgId: row.event_id,
        ...(traceparent === '' ? {} : { traceparent }),
      });
    }
    for (const org of new Set(rows.map((row) => row.org))) await this.#tellState(org);
    await store.query('delete from event_outbox where id = any($1)', [rows.map(({ id }) => id)]);
    return rows.length;
  }

  async #tellAllStates(): Promise<void> {
    for (let after = ''; ; ) {
      const rows = await this.#parts.store.query<{ id: string }>(
        'select id from orgs where id > $1 order by id limit $2',
        [after, STATES_PAGE],
      );
      for (const { id } of rows) await this.#tellState(id);
      if (rows.length < STATES_PAGE) break;
      after = rows.at(-1)!.id;
    }
    this.#rebuild = false;
  }

  async #tellState(org: string): Promise<void> {
    const { store, bucket, clock } = this.#parts;
    const now = Math.floor(clock.nowUs() / 1000);
    const state = await store.transaction(({ query }) => orgState(query, org, now));
    if (state === undefined) return;
    const value = encode(OrgState, state);
    // Lost races end: each one was won by a version that is at least as high as another's.
    for (;;) {
      const held = await bucket.get(org);
      if (held !== undefined && OrgState.decode(held.value).version >= state.version) return;
      try {
        await (held === undefined ? bucket.create(org, value) : bucket.update(org, value, held.revision));
        return;
      } catch (error) {
        if (asFleetwireError(error).kind !== 'aborted' && asFleetwireError(error).kind !== 'already_exists')
          throw error;
      }
    }
  }
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
