/** The configuration of delivery: every limit of its ingest, its answers and its sweep. */

import { defineSection, z } from '@fleetwire/config';
import { DOUBTS_MAX } from './domain/verdict.ts';

const whole = (min: number, max: number, initial: number) =>
  z.number().int().min(min).max(max).default(initial);

export const deliveryConfig = defineSection('delivery', {
  flush_ms: whole(1, 5000, 120).describe(
    'Milliseconds that what has arrived may wait for more before it is written',
  ),
  flush_bytes: whole(1, 64_000_000, 131_072).describe(
    'Bytes from which on what has arrived does not wait for more; at most those of one pull count',
  ),
  flush_rows: whole(1, 20_000, 1000).describe('Rows from which on a transaction takes no further pack'),
  pull_messages: whole(1, 4096, 256).describe('Messages (packs) asked for in one pull, of each stream'),
  pull_bytes: whole(2_200_000, 64_000_000, 4_194_304).describe(
    'Bytes asked for in one pull; bounds the memory',
  ),
  retry_initial_ms: whole(1, 10_000, 100).describe('Wait before the second try while PostgreSQL is away'),
  retry_max_ms: whole(10, 60_000, 5000).describe('Longest wait between two tries while PostgreSQL is away'),
  overflow_interval_ms: whole(100, 60_000, 1000).describe(
    'Milliseconds between two events about the same full queue',
  ),
  recipients_max: whole(1, 20_000, 10_000).describe(
    'Recipients of one message shown by GetMessage and TraceMessage',
  ),
  recipients_listed: whole(1, 1000, 20).describe('Recipients of one message shown by ListMessages'),
  page_bytes: whole(1, 7_000_000, 4_194_304).describe(
    'Bytes of messages on one page, unless a single one has more',
  ),
  search_idle_ms: whole(10, 60_000, 500).describe(
    'Milliseconds until it is looked again for messages to make searchable',
  ),
  search_busy_rows: whole(1, 1_000_000, 1000).describe(
    'Messages written a second from which on making them searchable takes its share of the time only',
  ),
  search_share_percent: whole(1, 100, 5).describe(
    'Percent of the time that making messages searchable takes then',
  ),
  backlog_interval_ms: whole(10, 600_000, 2000).describe(
    'Milliseconds between two looks at how much waits in the streams',
  ),
  backlog_behind: whole(1, 10_000_000, 2000).describe(
    'Waiting stream messages (packs) from which on delivery counts as behind, and its log says how far',
  ),
  backlog_log_ms: whole(100, 3_600_000, 10_000).describe(
    'Milliseconds between two lines of the log about that',
  ),
  list_ids: whole(1000, 10_000_000, 50_000).describe(
    'Messages that one call of ListMessages looks at: with filters that keep most of them out its page ends early',
  ),
  letters_interval_ms: whole(10, 600_000, 5000).describe(
    'Milliseconds between two looks for replays of dead letters that were recorded and could not be made',
  ),
  sweep_interval_ms: whole(10, 600_000, 5000).describe('Milliseconds between two runs of the sweep'),
  sweep_read_max: whole(1, 100_000, 2000).describe(
    'Waiting messages (packs) that one run of the sweep reads',
  ),
  sweep_settle_max: whole(1, 100_000, 1000).describe(
    'Waiting messages (packs) that one run of the sweep ends',
  ),
  sweep_watch_max: whole(1, 5_000_000, 200_000).describe(
    'Waiting messages (packs) whose deadline is remembered',
  ),
  sweep_margin_ms: whole(0, 600_000, 5000).describe(
    'How long after its deadline a message is left to a node that may just have taken it',
  ),
  sweep_silent_ms: whole(100, 86_400_000, 60_000).describe(
    'How long after its deadline a message without an end is left to a node that may still speak of it',
  ),
  sweep_look_max: whole(1, 1_000_000, 20_000).describe(
    'Messages beyond their time that one run of the sweep looks at, each once',
  ),
  history_days: whole(0, 36_500, 30).describe('Days that history is kept; 0: for ever'),
  retention_interval_ms: whole(100, 86_400_000, 600_000).describe(
    'Milliseconds between two deletions of old history',
  ),
  retention_rows: whole(1, 100_000, 5000).describe('Rows of each table that one statement deletes'),
  usage_interval_ms: whole(10, 86_400_000, 60_000).describe(
    'Milliseconds between two events with what orgs have used',
  ),
  registry_address: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Where registry answers gRPC; without it receipts of nodes where an agent lived before are refused',
    ),
  lookup_deadline_ms: whole(10, 60_000, 2000).describe('Deadline of one question to registry'),
  former_homes_max: whole(0, 5_000_000, 100_000).describe(
    'Agents that have moved or gone whose old node is remembered for a moment',
  ),
  doubts_interval_ms: whole(10, 60_000, 250).describe('Milliseconds between two looks at receipts in doubt'),
  doubts_open_max: whole(100, 5_000_000, DOUBTS_MAX).describe(
    'Receipts in doubt of one node that are kept, each KiB of one counts as another; more are refused, RECEIPT_DOUBTS_FULL',
  ),
  doubts_max: whole(1, 10_000, 1000).describe('Receipts in doubt that one look decides'),
  sweep_rewind_ms: whole(1000, 86_400_000, 3_600_000).describe(
    'Milliseconds until the sweep reads the stream anew',
  ),
});
