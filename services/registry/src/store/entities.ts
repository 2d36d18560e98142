/** Tables of the schema `registry`. Moments are milliseconds since the Unix epoch, in broker time. */

import { defineEntity, type InferEntity, p } from '@fleetwire/store';

const text = () => p.string().columnType('text');
const list = () => p.array().columnType('text[]');

export interface StoredLocation {
  readonly kind?: string;
  readonly details?: Readonly<Record<string, string>>;
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
  },
  uniques: [{ name: 'nodes_org_name', properties: ['org', 'folded'] }],
  indexes: [{ name: 'nodes_last_seen', properties: ['status', 'lastSeenAtMs'] }],
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

export const Secret = defineEntity({
  name: 'Secret',
  tableName: 'secrets',
  properties: {
    name: text().primary(),
    value: p.blob(),
  },
});

export const entities = [Node, Agent, Channel, ChannelMember, Org, Secret];
