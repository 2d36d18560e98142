/** Tables of the schema `registry`. Moments are milliseconds since the Unix epoch, in broker time. */

import { defineEntity, type InferEntity, p, SecretEntity } from '@fleetwire/store';

const text = () => p.string().columnType('text');
const list = () => p.array().columnType('text[]');

export interface StoredLocation {
  readonly kind?: string;
  readonly details?: Readonly<Record<string, string>>;
}

/** As a node has told, checked. */
export interface StoredFacts {
  readonly capabilities?: readonly string[];
  readonly tools?: readonly string[];
  readonly cpus?: number;
  readonly memoryBytes?: number;
}

export const Node = defineEntity({
  name: 'Node',
  tableName: 'nodes',
  properties: {
    id: text().primary(),
    org: text(),
    name: text(),
    /** The name as it is compared; unique in the org. */
    folded: text(),
    publicKey: text().unique(),
    /** Decided once: the node's credentials and the routers rely on it. */
    partition: p.integer(),
    shard: p.integer(),
    /** online or offline, as of the last sweep; answers are computed from lastSeenAtMs. */
    status: text(),
    version: text(),
    platform: text(),
    /** Number of its agents. */
    agents: p.integer(),
    joinedAtMs: p.bigint('number'),
    lastSeenAtMs: p.bigint('number'),
    /** Deletions of its org before it joined. */
    deletion: p.bigint('number').defaultRaw('0'),
    /** Id of the user to whom it belongs; empty: not known. */
    owner: text().default(''),
    protocol: p.integer().default(1),
    host: text().default(''),
    /** Of the process that is this node; empty: not told. */
    instance: text().default(''),
    machine: text().default(''),
    /** Who else tried to be this node, in words, and when last. */
    contender: text().default(''),
    contenderAtMs: p.bigint('number').defaultRaw('0'),
    facts: p.json<StoredFacts>().defaultRaw(`'{}'`),
    draining: p.boolean().default(false),
    /** When it said that it leaves; what was heard of it later counts. */
    leftAtMs: p.bigint('number').defaultRaw('0'),
    /** Why it may not come in; empty: it may. */
    shutOut: text().default(''),
    /** It is to rotate its key. */
    rotate: p.boolean().default(false),
    /** Taken until oldKeyUntilMs. */
    oldPublicKey: text().nullable(),
    oldKeyUntilMs: p.bigint('number').defaultRaw('0'),
    /** Credentials issued until then (Unix seconds) do not work. */
    issuedAfterS: p.bigint('number').defaultRaw('0'),
    /** Of its entry in the routing table, from the sequence route_epochs. */
    epoch: p.bigint('number').defaultRaw('0'),
    /** Grows with what is remembered between heartbeats. */
    revision: p.integer().default(0),
    /** Grows with every change of its agents, by a trigger. */
    roster: p.bigint('number').defaultRaw('0'),
    /** When the row was written, by PostgreSQL's clock, by a trigger. */
    notedAtMs: p.bigint('number').defaultRaw('0'),
    /** See `useNonce`. */
    usedNonces: list().defaultRaw("'{}'"),
  },
  uniques: [{ name: 'nodes_org_name', properties: ['org', 'folded'] }],
  indexes: [
    { name: 'nodes_last_seen', properties: ['status', 'lastSeenAtMs'] },
    { name: 'nodes_noted', properties: ['notedAtMs'] },
    { name: 'nodes_owner', properties: ['org', 'owner'] },
    {
      name: 'nodes_old_key',
      properties: ['oldKeyUntilMs'],
      expression: 'create index nodes_old_key on nodes (old_key_until_ms) where old_public_key is not null',
    },
  ],
});
export type NodeRow = InferEntity<typeof Node>;

export const Agent = defineEntity({
  name: 'Agent',
  tableName: 'agents',
  properties: {
    id: text().primary(),
    org: text(),
    name: text(),
    folded: text(),
    node: text().index('agents_node'),
    adapter: text(),
    registeredAtMs: p.bigint('number'),
    /** From the sequence route_epochs: grows over all agents, and with every change of this row. */
    epoch: p.bigint('number'),
    model: text().defaultRaw("''"),
    capabilities: list().defaultRaw("'{}'"),
    /** Null: all. */
    tools: list().strictNullable(),
    repo: text().defaultRaw("''"),
    visibility: text().defaultRaw("'isolated'"),
    policyGroup: text().defaultRaw("''"),
    location: p.json<StoredLocation>().columnType('jsonb').defaultRaw("'{}'"),
    movable: p.boolean().defaultRaw('false'),
    /** Its workspace is. */
    suspended: p.boolean().defaultRaw('false'),
  },
  uniques: [{ name: 'agents_org_name', properties: ['org', 'folded'] }],
});
export type AgentRow = InferEntity<typeof Agent>;

/** Agents that people have removed: a node that still has one is told so, and does not bring it back. */
export const Dismissed = defineEntity({
  name: 'Dismissed',
  tableName: 'dismissed',
  properties: {
    id: text().primary(),
    removedAtMs: p.bigint('number').index('dismissed_at'),
  },
});

/** Where agents have lived; written by triggers. */
export const FormerHome = defineEntity({
  name: 'FormerHome',
  tableName: 'former_homes',
  properties: {
    agent: text().primary(),
    node: text().primary(),
    org: text(),
    leftAtMs: p.bigint('number').index('former_homes_left'),
  },
});

/** Keys of nodes that the servers are to refuse. */
export const RemovedKey = defineEntity({
  name: 'RemovedKey',
  tableName: 'removed_keys',
  properties: {
    publicKey: text().primary(),
    org: text().index('removed_keys_org'),
    node: text().index('removed_keys_node'),
    shard: p.integer(),
    /** removed or retired, for good; shut_out: only what was issued until then. */
    reason: text(),
    removedAtMs: p.bigint('number').index('removed_keys_removed'),
    /** Unix seconds; see FOR_GOOD_S. */
    untilS: p.bigint('number'),
    /** The servers have it. */
    told: p.boolean(),
  },
  indexes: [
    {
      name: 'removed_keys_untold',
      properties: ['org'],
      expression: 'create index removed_keys_untold on removed_keys (org) where not told',
    },
  ],
});
export type RemovedKeyRow = InferEntity<typeof RemovedKey>;

/** Channels and groups. */
export const Channel = defineEntity({
  name: 'Channel',
  tableName: 'channels',
  properties: {
    id: text().primary(),
    org: text(),
    /** channel or group. */
    kind: text(),
    name: text(),
    folded: text(),
    createdBy: text(),
    createdAtMs: p.bigint('number'),
    /** Grows with every change of its members, by a trigger. */
    epoch: p.bigint('number'),
    /** Of the route that was written last. */
    writtenEpoch: p.bigint('number').defaultRaw('0'),
    /** Deletions of its org before it was made. */
    deletion: p.bigint('number').defaultRaw('0'),
  },
  uniques: [{ name: 'channels_org_name', properties: ['org', 'kind', 'folded'] }],
  indexes: [
    {
      name: 'channels_unwritten',
      expression: 'create index channels_unwritten on channels (id) where epoch > written_epoch',
    },
  ],
});
export type ChannelRow = InferEntity<typeof Channel>;

export const ChannelMember = defineEntity({
  name: 'ChannelMember',
  tableName: 'channel_members',
  properties: {
    channel: text().primary(),
    agent: text().primary().index('channel_members_agent'),
  },
});

/** Mail that follows an agent, or goes back; read and written by store/moves.ts only. */
export const Move = defineEntity({
  name: 'Move',
  tableName: 'moves',
  properties: {
    agent: text().primary(),
    epoch: p.bigint('number').primary(),
    org: text(),
    fromNode: text(),
    fromShard: p.integer(),
    toNode: text(),
    toShard: p.integer(),
    reason: text(),
    state: text(),
    startedAtMs: p.bigint('number'),
    changedAtMs: p.bigint('number'),
  },
  indexes: [
    { name: 'moves_state', properties: ['state', 'changedAtMs'] },
    { name: 'moves_from', properties: ['fromNode', 'state'] },
  ],
});

/** Locked by what must not happen twice at once in an org. */
export const Org = defineEntity({
  name: 'Org',
  tableName: 'orgs',
  properties: {
    org: text().primary(),
    /** The deletion for which its nodes were removed last; 0: none. */
    cleared: p.bigint('number'),
  },
});

/** Places in the streams of an org that programs outside follow; read and written by store/subscriptions.ts only. */
export const Subscription = defineEntity({
  name: 'Subscription',
  tableName: 'subscriptions',
  properties: {
    org: text().primary(),
    /** As in SUBSCRIBED. */
    what: text().primary(),
    name: text().primary(),
    /** Subject that its consumer is pinned to. */
    filter: text(),
    /** Id of the user who opened it last, and of the API key by which. */
    owner: text(),
    apiKey: text(),
    publicKey: text().unique('subscriptions_public_key_unique'),
    createdAtMs: p.bigint('number'),
    openedAtMs: p.bigint('number'),
    /** Deletions of its org before it was made. */
    deletion: p.bigint('number'),
  },
});
export type SubscriptionRow = InferEntity<typeof Subscription>;

export const entities = [
  Node,
  Agent,
  Dismissed,
  FormerHome,
  Channel,
  ChannelMember,
  RemovedKey,
  Move,
  Org,
  Subscription,
  SecretEntity,
];
