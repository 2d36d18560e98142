/** What can be set for the router: every bound has its key here. */

import { defineSection, z } from '@fleetwire/config';

const count = (initial: number, max: number) => z.number().int().min(1).max(max).default(initial);
const ms = (initial: number, max = 60_000) => z.number().int().min(1).max(max).default(initial);

const rate = () => z.number().int().min(0).max(1_000_000).default(0);

export const routerConfig = defineSection('router', {
  pull_messages: count(128, 4096).describe('Ingress messages (packs) asked for in one pull'),
  entries_max: count(8192, 1_000_000).describe(
    'Envelopes of one partition in memory; at this it pulls no more',
  ),
  bytes_max: count(32 * 1024 * 1024, 1024 ** 3).describe(
    'Bytes of the same, of their recipients and of what is to be told of them',
  ),
  publishes_max: count(512, 1024).describe('Publishes in flight, divided among the partitions'),
  retry_initial_ms: ms(50).describe('Wait before a pack in doubt is stored again; doubles'),
  retry_max_ms: ms(2000).describe('Upper end of that wait'),
  poison_tries: count(5, 100).describe('Tries of an ingress message whose handling throws'),
  poison_wait_ms: ms(200).describe('Wait between them'),
  drain_ms: ms(5000).describe('Time to finish what is in memory when a partition is handed over'),
  table_wait_ms: ms(2000).describe(
    'How long a partition that was taken over waits for the routing table to be as new as its bucket',
  ),
  share_interval_ms: ms(1000).describe('Time between two looks at who holds which partition'),
  restart_initial_ms: ms(100).describe(
    'Wait before a partition that came into doubt is taken over anew; doubles',
  ),
  restart_max_ms: ms(5000).describe('Upper end of that wait'),
  stray_durables_ms: ms(60_000, 3_600_000).describe(
    'Time between two looks for durables that a killed router has left and nobody pulls',
  ),
  registry_address: z
    .string()
    .min(1)
    .optional()
    .describe('Where registry answers gRPC; without it the routing table alone decides'),
  lookup_deadline_ms: ms(1000).describe('Deadline of one question to registry'),
  lookups_max: count(16, 1024).describe('Questions to registry at the same time'),
  lookup_fresh_ms: ms(2000).describe('How long an answer of registry counts'),
  lookup_cache_max: count(10_000, 1_000_000).describe('Answers of registry that are remembered'),
  lookup_pause_ms: ms(1000).describe('After registry failed to answer: time for which it is not asked'),
  lag_high_ms: ms(2000, 3_600_000).describe(
    'So far behind its ingress, a partition asks nodes that take more than their fair share to hold back',
  ),
  ingress_watch_percent: count(75, 100).describe(
    'While there are several orgs and ingress is fuller than this, in hundredths of its bytes, it is looked into who fills it',
  ),
  ingress_org_percent: count(50, 100).describe(
    'The nodes of an org that then holds more than this, in hundredths of the same, are asked to stop',
  ),
  ingress_watch_ms: ms(3000, 20_000).describe(
    'Time between two looks; who is asked to stop does so for three times as long',
  ),
  inbox_full_retry_ms: ms(5000).describe(
    'How long a node is asked to hold back what is meant for an agent whose inbox is full',
  ),
  rate_node_per_s: rate().describe('Messages a second that one router lets a node send; 0: any number'),
  rate_node_burst: rate().describe('Of those, how many at once; 0: as many as in a second'),
  rate_org_per_s: rate().describe('The same of all nodes of an org together'),
  rate_org_burst: rate().describe('Of those, how many at once; 0: as many as in a second'),
  rate_buckets_max: count(100_000, 10_000_000).describe(
    'Agents, nodes and orgs each whose sending is remembered for limits; one that is forgotten begins anew',
  ),
  denials_every_ms: ms(60_000, 3_600_000).describe(
    'Within this time further denials of one pair of agents are counted and told to the audit together',
  ),
  suggest_scan: count(2000, 1_000_000).describe('Names looked at to suggest one for an unknown name'),
  suggest_per_second: count(10, 10_000).describe('Such searches in a second'),
});
