/** Keys of the registry's own: FLEETWIRE_REGISTRY_<KEY>. */

import { defineSection, type SectionValues, z } from '@fleetwire/config';
import { LIMITS } from '@fleetwire/contract';

const whole = (min: number, max: number, initial: number) =>
  z.number().int().min(min).max(max).default(initial);

export const registrySection = defineSection('registry', {
  org_address: z.string().min(1).default('127.0.0.1:7401').describe('Where org answers gRPC'),
  node_nats_urls: z
    .string()
    .default('')
    .describe('NATS servers that nodes are told, comma-separated; empty: the ones that the registry uses'),
  challenge_ttl_s: whole(5, 600, 60).describe('Seconds that a nonce of Challenge is good for'),
  credentials_ttl_s: whole(60, 604_800, 86_400).describe('Seconds that the NATS credentials of a node live'),
  node_token_ttl_s: whole(60, 604_800, 86_400).describe('Seconds that the token of a node is good for'),
  liveness_ms: whole(100, 600_000, 25_000).describe('Silence after which a node and its agents are offline'),
  heartbeat_ms: whole(100, 600_000, 10_000).describe('Time between two heartbeats that nodes are told'),
  flush_ms: whole(10, 60_000, 5000).describe('Time between two writes of when nodes were last heard of'),
  flush_rows: whole(1, 10_000, 1000).describe('Nodes in one such write'),
  look_ms: whole(10, 60_000, 1000).describe('Time between two looks at what other replicas wrote of nodes'),
  sweep_ms: whole(10, 600_000, 5000).describe('Time between two searches for nodes that fell silent'),
  reconcile_ms: whole(100, 86_400_000, 300_000).describe('Time between two comparisons of the routing table'),
  usage_interval_ms: whole(100, 86_400_000, 60_000).describe('Time between two looks at what orgs have'),
  nodes_max: whole(1, LIMITS.orgNodes, 1000).describe('Nodes of one org'),
  agents_per_node_max: whole(1, 1_000_000, 10_000).describe('Agents of one node'),
  // At most an hour: the mark that ends a move must reach a node that was silent, and lasts for two in its inbox.
  stale_ms: whole(100, 3_600_000, 300_000).describe(
    'Silence of a node after which its agents are removed and their names are free',
  ),
  subscriptions_max: whole(1, 10_000, 100).describe('Places in its streams that programs of one org follow'),
  subscription_ttl_s: whole(60, 604_800, 86_400).describe(
    'Seconds that the NATS credentials of a subscriber live at most',
  ),
  channels_max: whole(1, 1_000_000, 1000).describe('Channels and groups of one org'),
  channels_per_node_max: whole(1, 1_000_000, 100).describe('Channels that one node has made'),
  rows_remembered_max: whole(0, 10_000_000, 200_000).describe('Agents that are looked up without PostgreSQL'),
  sync_page: whole(1, 10_000, 2000).describe('Entries in one answer of Sync; fewer when they are large'),
  sync_changes_max: whole(1, 10_000_000, 20_000).describe(
    'Changes of an org that are remembered; who has missed more reads all again',
  ),
  markers_keep_ms: whole(100, 86_400_000, 3_600_000).describe(
    'How long the routing table remembers that an entry was removed',
  ),
  suggest_scan: whole(1, 1_000_000, 5000).describe('Names looked at to suggest one for an unknown name'),
  known_nodes_max: whole(1, 1_000_000, 20_000).describe('Nodes remembered between heartbeats'),
  known_fresh_ms: whole(0, 3_600_000, 60_000).describe('How long a remembered node is not read again'),
  move_ms: whole(10, 60_000, 500).describe(
    'Time between two looks at the moves of agents that are under way',
  ),
  move_flush_ms: whole(10, 60_000, 1000).describe(
    'How long a router may take to say whether mail is under way',
  ),
  move_opening_ms: whole(100, 600_000, 15_000).describe(
    'Age at which a move that was only announced is given up: the replica that began it has died',
  ),
  move_lost_ms: whole(100, 86_400_000, 300_000).describe(
    'Silence of a node after which the mail of an agent that has left it is moved without it',
  ),
  move_late_ms: whole(0, 3_600_000, 120_000).describe(
    'How long after a move mail is looked for at the old place',
  ),
  move_keep_ms: whole(1000, 86_400_000, 3_600_000).describe('How long a move that has ended is remembered'),
  moves_max: whole(1, 100_000, 1000).describe('Moves that are carried on in one look'),
  heartbeats_max: whole(1, 100_000, 2000).describe('Heartbeats under way; more are not answered'),
  heartbeats_burst: whole(1, 10_000, 30).describe('Heartbeats of one node at once; more are not answered'),
  heartbeats_every_ms: whole(1, 600_000, 500).describe('Time until one node may send one more'),
  hellos_burst: whole(1, 10_000, 20).describe('HELLOs of a node at once, by its machine and by all others'),
  hellos_every_ms: whole(1, 600_000, 3000).describe('Time until it may say one more'),
  rosters_max: whole(1, 100, 3).describe('Rosters that are taken at once; more wait'),
  roster_wait_ms: whole(10, 60_000, 5000).describe('How long one waits at most'),
  roster_burst: whole(20, 100_000, 200).describe('Rosters of one node at once, in batches of 500 agents'),
  roster_every_ms: whole(1, 600_000, 250).describe('Time until one node may tell one batch more'),
  churn_burst: whole(500, 10_000_000, 40_000).describe(
    'Agents of one node that come, go or are renamed at once',
  ),
  churn_every_ms: whole(1, 600_000, 50).describe('Time until it may be one more'),
  org_churn_burst: whole(500, 100_000_000, 400_000).describe('The same of all nodes of an org'),
  org_churn_every_ms: whole(1, 600_000, 10).describe('Time until it may be one more of the org'),
  load_ms: whole(0, 600_000, 3000).describe(
    'Time between two changes of the load of a node in the routing table',
  ),
  contender_ms: whole(100, 86_400_000, 3_600_000).describe(
    'How long people are told of a second machine with the identity of a node',
  ),
  key_overlap_s: whole(1, 604_800, 3600).describe(
    'Seconds that the old key of a node is taken after a rotation',
  ),
  removed_keys_max: whole(1, 5000, 5000).describe('Removed keys of one org that the servers are told of'),
  events_waiting_max: whole(1, 100_000, 10_000).describe('Events that wait to be told; more are dropped'),
});

export type RegistryConfig = SectionValues<typeof registrySection>;
