/** Every stream, consumer and key-value bucket as data; bootstrap creates them, services verify them at start. */

import { hashOf } from '@fleetwire/kernel';
import { EVENT_NAMES, filters } from './subjects.ts';

const MiB = 1024 * 1024;
const SECOND_NS = 1_000_000_000;

export type StreamName = 'INGRESS' | 'INBOX' | 'RECEIPTS' | 'DEAD' | 'EVENTS' | 'MESSAGES';

/** Field names and values as in the JetStream API (https://docs.nats.io/nats-concepts/jetstream/streams). */
export interface StreamSpec {
  readonly name: StreamName;
  readonly subjects: readonly string[];
  readonly retention: 'limits' | 'interest' | 'workqueue';
  readonly discard: 'old' | 'new';
  /** With `discard: new`: also refuse by the bound of one subject. */
  readonly discard_new_per_subject: boolean;
  /** Messages of one subject; -1: no bound. */
  readonly max_msgs_per_subject: number;
  readonly max_bytes: number;
  /** Nanoseconds; 0: no age. */
  readonly max_age: number;
  /** Nanoseconds. */
  readonly duplicate_window: number;
  readonly allow_direct: boolean;
}

/** What of the streams is decided at bootstrap, from configuration. */
export interface StreamSizing {
  /** Bytes of ingress that may wait while PostgreSQL is away. */
  readonly ingress_max_bytes: number;
  readonly inbox_max_bytes: number;
  /** Waiting packs of one agent while its node is away. */
  readonly inbox_max_msgs_per_subject: number;
  readonly receipts_max_bytes: number;
  readonly dead_max_bytes: number;
  readonly events_max_bytes: number;
  /** Of the events about single messages. */
  readonly messages_max_bytes: number;
  /** Events about messages of one org and name, so that a busy org pushes out its own and not those of others. */
  readonly messages_max_msgs_per_subject: number;
  /** Copies of every stream: 1 on one server, 3 in a cluster. */
  readonly replicas: number;
}

export const DEFAULT_SIZING: StreamSizing = {
  ingress_max_bytes: 2048 * MiB,
  inbox_max_bytes: 2048 * MiB,
  inbox_max_msgs_per_subject: 1000,
  receipts_max_bytes: 1024 * MiB,
  dead_max_bytes: 512 * MiB,
  events_max_bytes: 256 * MiB,
  messages_max_bytes: 512 * MiB,
  messages_max_msgs_per_subject: 10_000,
  replicas: 1,
};

/** Upper end of `ttl_ms`, and how much longer than it the inbox keeps a message so that the sweep, not the stream, ends it. */
export const TTL_CAP_MS = 3_600_000;
export const TTL_DEFAULT_MS = 300_000;
/** How long somebody may wait for an answer, at most: much longer than the question may wait to be taken. */
export const ANSWER_CAP_MS = 86_400_000;
const INBOX_AGE_NS = (TTL_CAP_MS / 1000 + 3600) * SECOND_NS;

export function streamSpecs(sizing: StreamSizing = DEFAULT_SIZING): readonly StreamSpec[] {
  const base = {
    discard: 'new',
    discard_new_per_subject: false,
    max_msgs_per_subject: -1,
    max_age: 0,
    duplicate_window: 60 * SECOND_NS,
    allow_direct: true,
  } as const;
  return [
    {
      ...base,
      name: 'INGRESS',
      subjects: [filters.allIngress],
      retention: 'interest',
      max_bytes: sizing.ingress_max_bytes,
    },
    {
      ...base,
      name: 'INBOX',
      subjects: [filters.allInbox],
      retention: 'workqueue',
      discard_new_per_subject: true,
      max_msgs_per_subject: sizing.inbox_max_msgs_per_subject,
      max_bytes: sizing.inbox_max_bytes,
      max_age: INBOX_AGE_NS,
    },
    {
      ...base,
      name: 'RECEIPTS',
      subjects: [filters.allReceipts],
      retention: 'limits',
      discard: 'old',
      max_bytes: sizing.receipts_max_bytes,
      max_age: 24 * 3600 * SECOND_NS,
    },
    {
      ...base,
      name: 'DEAD',
      subjects: [filters.allDead],
      retention: 'limits',
      discard: 'old',
      max_bytes: sizing.dead_max_bytes,
      max_age: 14 * 24 * 3600 * SECOND_NS,
    },
    {
      ...base,
      name: 'EVENTS',
      subjects: [filters.allEvents],
      retention: 'limits',
      discard: 'old',
      max_bytes: sizing.events_max_bytes,
      max_age: 24 * 3600 * SECOND_NS,
    },
    {
      ...base,
      name: 'MESSAGES',
      subjects: [filters.allMessageEvents],
      retention: 'limits',
      discard: 'old',
      max_msgs_per_subject: sizing.messages_max_msgs_per_subject,
      max_bytes: sizing.messages_max_bytes,
      max_age: 24 * 3600 * SECOND_NS,
    },
  ];
}

/** Field names and values as in the JetStream API. */
export interface ConsumerSpec {
  readonly stream: StreamName;
  readonly durable_name: string;
  readonly filter_subject: string;
  readonly ack_policy: 'all' | 'explicit';
  readonly deliver_policy: 'all' | 'new' | 'by_start_time';
  /** RFC 3339; with `by_start_time`. */
  readonly opt_start_time?: string;
  /** Nanoseconds. */
  readonly ack_wait: number;
  /** -1: a message comes again until it is acknowledged; a spent count would hide it while it still fills the bound. */
  readonly max_deliver: -1;
  readonly max_ack_pending: number;
  /** Nanoseconds without a pull after which it is removed; not set: never. */
  readonly inactive_threshold?: number;
}

/** Epoch 0 is bootstrap's: it makes the stream keep what comes before the first router starts. */
export function routerConsumer(partition: number, epoch: number): ConsumerSpec {
  return {
    stream: 'INGRESS',
    durable_name: `router-p${partition}-e${epoch}`,
    filter_subject: filters.ingressOfPartition(partition),
    ack_policy: 'all',
    deliver_policy: 'all',
    ack_wait: 30 * SECOND_NS,
    max_deliver: -1,
    max_ack_pending: 4096,
  };
}

/** Reads the partition and epoch back from a durable's name; undefined when it is not a router's. */
export function parseRouterConsumer(name: string): { partition: number; epoch: number } | undefined {
  const match = /^router-p(\d+)-e(\d+)$/.exec(name);
  return match ? { partition: Number(match[1]), epoch: Number(match[2]) } : undefined;
}

/** A node's inbox; made anew by the registry at each start of the node. The short ack_wait bounds a silent recovery. */
export function nodeConsumer(shard: number, org: string, node: string): ConsumerSpec {
  return {
    stream: 'INBOX',
    durable_name: `node-${node}`,
    filter_subject: filters.inboxOfNode(shard, org, node),
    ack_policy: 'explicit',
    deliver_policy: 'all',
    ack_wait: 10 * SECOND_NS,
    max_deliver: -1,
    max_ack_pending: 2048,
  };
}

function eventConsumer(durable_name: string, filter_subject: string): ConsumerSpec {
  return { ...deliveryConsumer('EVENTS', durable_name, filter_subject), max_ack_pending: 1024 };
}

function deliveryConsumer(stream: StreamName, durable_name: string, filter_subject: string): ConsumerSpec {
  return {
    stream,
    durable_name,
    filter_subject,
    ack_policy: 'explicit',
    deliver_policy: 'all',
    // After a crash this is how long history lags; what is written twice by then merges into one.
    ack_wait: 15 * SECOND_NS,
    max_deliver: -1,
    max_ack_pending: 8192,
  };
}

export const DELIVERY_HISTORY = deliveryConsumer('INGRESS', 'delivery-history', filters.allIngress);
export const DELIVERY_RECEIPTS = deliveryConsumer('RECEIPTS', 'delivery-receipts', filters.allReceipts);
export const DELIVERY_DEAD = deliveryConsumer('DEAD', 'delivery-dead', filters.allDead);

/** What org reads of the events: totals for metering; for the audit, denials and what admins did elsewhere. */
export const ORG_USAGE = eventConsumer('org-usage', filters.eventsNamed(EVENT_NAMES.usage));
export const ORG_ACTED = eventConsumer('org-acted', filters.eventsNamed(EVENT_NAMES.acted));
export const ORG_DENIED = eventConsumer('org-denied', filters.eventsNamed(EVENT_NAMES.denied));

/** The consumers that bootstrap creates, before anybody publishes. */
export function bootstrapConsumers(partitions: number): readonly ConsumerSpec[] {
  const routers = Array.from({ length: partitions }, (_, p) => routerConsumer(p, 0));
  return [...routers, DELIVERY_HISTORY, DELIVERY_RECEIPTS, DELIVERY_DEAD, ORG_USAGE, ORG_DENIED, ORG_ACTED];
}

export interface BucketSpec {
  readonly name: string;
  readonly history: number;
  /** Milliseconds; 0: entries stay. */
  readonly ttl_ms: number;
  readonly max_bytes: number;
}

/** `<org>.<id>` to an encoded Route, NodeRoute or ChannelRoute, by the type of the id. */
export const ROUTES_BUCKET: BucketSpec = { name: 'fw-routes', history: 1, ttl_ms: 0, max_bytes: 512 * MiB };
/** Org id to an encoded OrgState, written by org; what it says of an org is what every service goes by. */
export const ORGS_BUCKET: BucketSpec = { name: 'fw-orgs', history: 1, ttl_ms: 0, max_bytes: 512 * MiB };
/** Leases of partitions and sweeps, renewed by compare-and-set. A lease that is not renewed for the TTL is free. */
export const LEASES_BUCKET: BucketSpec = {
  name: 'fw-leases',
  history: 1,
  ttl_ms: 10_000,
  max_bytes: 16 * MiB,
};

/** What bootstrap decided for all time, and found; see FabricRecord. */
export const FABRIC_BUCKET: BucketSpec = { name: 'fw-fabric', history: 1, ttl_ms: 0, max_bytes: MiB };
export const FABRIC_RECORD_KEY = 'record';

/** Kept as JSON next to the streams, so that every service and every later bootstrap goes by the same numbers. */
export interface FabricRecord {
  readonly format: 1;
  readonly partitions: number;
  readonly sizing: StreamSizing;
  /** What the last bootstrap found; absent where the last one was of an earlier release. */
  readonly servers?: FoundServers;
}

export interface FoundServers {
  /** Of the server that bootstrap spoke with. */
  readonly version: string;
  /** An acknowledgement by one consumer deletes nothing that is for another; see `Broker.probeAcks`. */
  readonly acks_apart: boolean;
}

/** Names of what bootstrap makes for its probe: the stream's goes on with the run. */
export const PROBE_STREAM = 'PROBE_';
export const PROBE_CONSUMER = 'probe';

export const LEASE_KEYS = {
  partition: (partition: number) => `router.p${partition}`,
  /** Presence of a router replica, for sharing the partitions out. */
  router: (instance: string) => `router.member.${instance}`,
  /** Scratch entry by which a process reads the broker's clock. */
  clock: (instance: string) => `clock.${instance}`,
  sweep: (service: string) => `sweep.${service}`,
} as const;

/** Key of an agent, a node or a channel in the routing table. */
export const routeKey = (org: string, id: string): string => `${org}.${id}`;

/** The parts of such a key; undefined when it is none. */
export function parseRouteKey(
  key: string,
): { org: string; id: string; kind: 'agent' | 'node' | 'channel' } | undefined {
  const match = /^([^.]+)\.([anc]_[^.]+)$/.exec(key);
  if (match === null) return undefined;
  const kind = ({ a: 'agent', n: 'node', c: 'channel' } as const)[match[2]![0] as 'a' | 'n' | 'c'];
  return { org: match[1]!, id: match[2]!, kind };
}

/** Number of partitions unless bootstrap was told otherwise; fixed from then on. */
export const DEFAULT_PARTITIONS = 8;

/** Which partition a node publishes to, for all its life. */
export function partitionOf(org: string, node: string, partitions: number): number {
  return hashOf(`${org}.${node}`) % partitions;
}
