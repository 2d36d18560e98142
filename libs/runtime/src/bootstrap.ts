/** Preparing NATS for the fabric, once and again: accounts, streams, consumers, buckets, and the record of the numbers. */

import type { Broker } from '@fleetwire/broker';
import type { ConsumerSpec, FabricRecord, StreamSizing } from '@fleetwire/contract';
import {
  bootstrapConsumers,
  DEFAULT_PARTITIONS,
  DEFAULT_SIZING,
  FABRIC_BUCKET,
  FABRIC_RECORD_KEY,
  LEASES_BUCKET,
  LIMITS,
  ORGS_BUCKET,
  parseRouterConsumer,
  ROUTES_BUCKET,
  streamSpecs,
} from '@fleetwire/contract';
import { FleetwireError } from '@fleetwire/kernel';
import { type Access, keysDirOf, withBroker } from './bootstrap-access.ts';
import { pushAccounts } from './push-accounts.ts';
import { waitFor } from './wait-for.ts';

export interface BootstrapOptions extends Access {
  /** Only for a new fabric; asking for other numbers later is refused. */
  readonly sizing?: Partial<StreamSizing> | undefined;
  /** As `sizing`. Default 8. */
  readonly partitions?: number | undefined;
  /** How long to wait for the servers and their JetStream. Default 30,000. */
  readonly waitMs?: number | undefined;
}

const PARTITIONS_MAX = 1024;

/**
 * Makes what is missing and alters nothing that is there, so it can run at every start and on a working fabric. Only what
 * it finds out about the servers is recorded anew.
 * Rejects failed_precondition: PARTITIONS_FIXED, SIZING_FIXED, STREAM_DRIFT, MAX_PAYLOAD_TOO_SMALL, KEYS_MISSING,
 * NATS_WITHOUT_ACCOUNTS; unavailable when the servers stay away; permission_denied ACCOUNT_REFUSED; unauthenticated
 * NATS_REFUSED.
 */
export async function bootstrapFabric(o: BootstrapOptions): Promise<FabricRecord> {
  const { partitions } = o;
  if (
    partitions !== undefined &&
    !(Number.isInteger(partitions) && partitions > 0 && partitions <= PARTITIONS_MAX)
  ) {
    throw new FleetwireError(
      'invalid_argument',
      'INVALID_PARTITIONS',
      `${partitions} partitions are not possible`,
      {
        help: `Choose a whole number from 1 to ${PARTITIONS_MAX}.`,
      },
    );
  }
  if (!o.singleTenant)
    await waiting(o, 'the system account of NATS', () =>
      withBroker(o, 'sys', (broker) => pushAccounts(broker, keysDirOf(o))),
    );
  return waiting(o, 'JetStream', () => withBroker(o, 'bootstrap', (broker) => prepare(broker, o)));
}

/**
 * What bootstrap decided; where the release of the last one did not have to decide yet, as by default.
 * Rejects failed_precondition FABRIC_NOT_BOOTSTRAPPED, or BUCKET_MISSING from the broker.
 */
export async function readFabricRecord(broker: Broker): Promise<FabricRecord> {
  const bucket = await broker.bucket(FABRIC_BUCKET);
  const entry = await bucket.get(FABRIC_RECORD_KEY);
  if (entry !== undefined) {
    const record = recordIn(entry.value);
    return { ...record, sizing: { ...DEFAULT_SIZING, ...record.sizing } };
  }
  throw new FleetwireError(
    'failed_precondition',
    'FABRIC_NOT_BOOTSTRAPPED',
    'these servers hold no fabric yet',
    {
      help: 'Run `fleetwire bootstrap` against them.',
    },
  );
}

const recordIn = (value: Uint8Array) => JSON.parse(new TextDecoder().decode(value)) as WrittenRecord;

/** Of an earlier release: it has no numbers of streams that came later. */
type WrittenRecord = Omit<FabricRecord, 'sizing'> & { readonly sizing: Partial<StreamSizing> };

async function prepare(broker: Broker, o: BootstrapOptions): Promise<FabricRecord> {
  if (broker.maxPayload < LIMITS.serverMaxPayload) {
    const message = `the servers accept ${broker.maxPayload} bytes, but bodies need ${LIMITS.serverMaxPayload}`;
    throw new FleetwireError('failed_precondition', 'MAX_PAYLOAD_TOO_SMALL', message, {
      help: `Set max_payload: ${LIMITS.serverMaxPayload} in the configuration of every nats-server.`,
    });
  }
  const record = await ensureRecord(broker, o);
  const { replicas } = record.sizing;
  const specs = streamSpecs(record.sizing);
  await broker.streams.ensure(specs, replicas);
  await broker.streams.verify(specs, replicas);
  await ensureConsumers(broker, record.partitions);
  for (const bucket of [ROUTES_BUCKET, ORGS_BUCKET, LEASES_BUCKET])
    await broker.ensureBucket(bucket, replicas);
  return keepFound(broker, record);
}

/** Tried at each bootstrap: the servers may have been replaced since the last one, by older ones too. */
async function keepFound(
  broker: Broker,
  { servers: before, ...record }: FabricRecord,
): Promise<FabricRecord> {
  const servers = { version: broker.serverVersion, acks_apart: await broker.probeAcks() };
  const found: FabricRecord = { ...record, servers };
  if (before?.version !== servers.version || before.acks_apart !== servers.acks_apart) {
    const bucket = await broker.bucket(FABRIC_BUCKET);
    await bucket.put(FABRIC_RECORD_KEY, new TextEncoder().encode(JSON.stringify(found)));
  }
  return found;
}

/**
 * Written before the streams are made: a bootstrap that follows a crash goes on with the same numbers. Those of streams that
 * the release before did not have are decided by the first bootstrap that makes them.
 */
async function ensureRecord(broker: Broker, o: BootstrapOptions): Promise<FabricRecord> {
  const sizing = { ...DEFAULT_SIZING, ...o.sizing };
  const wanted: FabricRecord = { format: 1, partitions: o.partitions ?? DEFAULT_PARTITIONS, sizing };
  await broker.ensureBucket(FABRIC_BUCKET, sizing.replicas);
  const bucket = await broker.bucket(FABRIC_BUCKET);
  const there = await bucket.get(FABRIC_RECORD_KEY);
  const held = there && recordIn(there.value);
  const complete = { ...wanted, ...held, sizing: { ...sizing, ...held?.sizing } };
  const undecided = Object.keys(sizing).some((key) => !Object.hasOwn(held?.sizing ?? {}, key));
  if (undecided) {
    const value = new TextEncoder().encode(JSON.stringify(complete));
    try {
      if (there === undefined) await bucket.create(FABRIC_RECORD_KEY, value);
      else await bucket.update(FABRIC_RECORD_KEY, value, there.revision);
    } catch (error) {
      // Another bootstrap was quicker; what it wrote is compared like any other record.
      if ((await bucket.get(FABRIC_RECORD_KEY))?.revision === there?.revision) throw error;
    }
  }
  const record = await readFabricRecord(broker);
  checkRecord(record, o);
  return record;
}

function checkRecord(record: FabricRecord, o: BootstrapOptions): void {
  if (o.partitions !== undefined && o.partitions !== record.partitions) {
    const message = `this fabric has ${record.partitions} partitions, not ${o.partitions}`;
    throw new FleetwireError('failed_precondition', 'PARTITIONS_FIXED', message, {
      help: 'Leave the number out; it is fixed when a fabric is made, because order depends on it.',
      details: { partitions: String(record.partitions) },
    });
  }
  const held: Record<string, number | undefined> = { ...record.sizing };
  const other = Object.entries(o.sizing ?? {}).filter(
    ([key, value]) => value !== undefined && held[key] !== value,
  );
  if (other.length === 0) return;
  const list = other.map(([key, value]) => `${key} is ${held[key]}, not ${value}`).join('; ');
  throw new FleetwireError('failed_precondition', 'SIZING_FIXED', `this fabric was made otherwise: ${list}`, {
    help: 'Leave these numbers out, or change the streams and the record by hand.',
  });
}

/**
 * A partition that already has a router's consumer, of whatever epoch, gets none: bootstrap's own would never be read
 * again, and under interest retention it would keep every message for ever.
 */
async function ensureConsumers(broker: Broker, partitions: number): Promise<void> {
  const routed = new Set<number | undefined>();
  for (const name of await broker.consumers.list('INGRESS')) routed.add(parseRouterConsumer(name)?.partition);
  for (const spec of bootstrapConsumers(partitions)) {
    const router = parseRouterConsumer(spec.durable_name);
    if (router === undefined) await ensureConsumer(broker, spec);
    else if (!routed.has(router.partition)) await broker.consumers.create(spec);
  }
}

/** Never created over an existing one, which servers before 2.10 would silently alter. */
async function ensureConsumer(broker: Broker, spec: ConsumerSpec): Promise<void> {
  const there = await broker.consumers.info(spec.stream, spec.durable_name);
  await (there === undefined ? broker.consumers.create(spec) : broker.consumers.verify(spec));
}

function waiting<T>(o: BootstrapOptions, what: string, attempt: () => Promise<T>): Promise<T> {
  return waitFor(attempt, {
    what,
    waitMs: o.waitMs ?? 30_000,
    leaving: new AbortController().signal,
    help: 'Start nats-server, or correct FLEETWIRE_NATS_URL.',
    worthWaiting: (error) => error.kind === 'unavailable' || error.kind === 'deadline_exceeded',
    report: () => undefined,
  });
}
