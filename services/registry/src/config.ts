/** Keys of the registry's own: FLEETWIRE_REGISTRY_<KEY>. */

import { defineSection, type SectionValues, z } from '@fleetwire/config';

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
  flush_ms: whole(10, 60_000, 5000).describe('Time between two writes of when nodes were last heard of'),
  flush_rows: whole(1, 10_000, 1000).describe('Nodes in one such write'),
  sweep_ms: whole(10, 600_000, 5000).describe('Time between two searches for nodes that fell silent'),
  reconcile_ms: whole(100, 86_400_000, 300_000).describe('Time between two comparisons of the routing table'),
  usage_interval_ms: whole(100, 86_400_000, 60_000).describe('Time between two looks at what orgs have'),
  nodes_max: whole(1, 100_000, 1000).describe('Nodes of one org'),
  agents_per_node_max: whole(1, 1_000_000, 10_000).describe('Agents of one node'),
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
});

export type RegistryConfig = SectionValues<typeof registrySection>;
