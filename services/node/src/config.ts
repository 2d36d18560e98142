/** What of a node can be set, with defaults; every bound of the node has its name here. */

import { defineSection, secretText, z } from '@fleetwire/config';
import { LIMITS, TTL_CAP_MS } from '@fleetwire/contract';

const count = (initial: number, max = 1_000_000) => z.number().int().min(1).max(max).default(initial);
const ms = (initial: number, max = 86_400_000) => z.number().int().min(1).max(max).default(initial);
/** 0: not at all, or as somebody else says. */
const msOrNone = (initial: number, max: number) => z.number().int().min(0).max(max).default(initial);
const bytes = (initial: number) => z.number().int().min(1024).max(68_719_476_736).default(initial);
const MiB = 1024 * 1024;

/** What people ask of a machine most often. */
const TOOLS =
  'aider,aws,az,bash,bun,bwrap,cargo,chromium,claude,clang,cmake,codex,cursor-agent,deno,docker,dotnet,ffmpeg,gcc,gcloud,' +
  'gemini,gh,git,go,gradle,helm,java,kubectl,make,mvn,node,npm,nvidia-smi,opencode,php,pip3,pnpm,podman,psql,python3,ruby,' +
  'rustc,screen,sqlite3,swift,terraform,tmux,uv,yarn,zsh';

export const nodeSection = defineSection('node', {
  name: z.string().default('').describe('Name of this node in its org; the machine’s host name when empty'),
  data_dir: z.string().default('').describe('Folder of this node; `node` in the data folder when empty'),
  registry: z.string().default('').describe('Address of the registry, host:port'),
  join_token: secretText().default('').describe('Single-use token by which this machine joins its org'),
  nats_url: z
    .string()
    .default('')
    .describe('NATS servers, comma-separated; what the registry says when empty'),
  sync: z
    .enum(['normal', 'always'])
    .default('normal')
    .describe('`always`: a power cut loses nothing accepted either; slower'),
  join_wait_ms: ms(60_000).describe(
    'At the first start: how long to wait for the registry; 5 s by the command line where this is not set',
  ),
  outbox_messages: count(1000).describe('Messages of one agent that may wait for the hub'),
  outbox_recipient_messages: count(500).describe(
    'Of these, those that may wait for one recipient that has said that it is busy',
  ),
  outbox_bytes: bytes(64 * MiB).describe('Bytes of all messages that may wait for the hub'),
  outbox_wait_ms: ms(2000, 60_000).describe('How long a session is slowed down before a full outbox refuses'),
  busy_max_ms: ms(60_000, 3_600_000).describe(
    'How long one word of a busy recipient, or of a router, holds mail back at most',
  ),
  credit_lapse_ms: ms(2000, 600_000).describe(
    'How long after the last word about a recipient that was busy its mail flows freely again',
  ),
  busy_recipients: count(10_000, 100_000).describe('Busy recipients that are known at the same time'),
  history_messages: count(20_000).describe('Local messages whose copy for history may wait for the hub'),
  queue_messages: count(1000).describe('Messages that may wait for one agent'),
  queue_bytes: bytes(16 * MiB).describe('Bytes that may wait for one agent'),
  queue_wait_ms: msOrNone(250, 5000).describe(
    'How long new mail is held up for the full queue of an agent that is taking it up',
  ),
  return_ms: msOrNone(5000, 60_000).describe(
    'After a start: how long new mail is held up for the full queue of an agent whose session should return',
  ),
  queue_drop: z
    .enum(['newest', 'oldest'])
    .default('newest')
    .describe(
      'What does not fit into a full queue goes back (`newest`), or the oldest that waits becomes a dead letter',
    ),
  overflow_messages: count(4096, 100_000).describe(
    'Messages that may wait in memory for room in the full queue of one agent, within queue_wait_ms',
  ),
  overflow_bytes: bytes(16 * MiB).describe(
    'Bytes of packs that may wait so for one agent; four times it for all',
  ),
  overflow_packs: count(1536, 1536).describe(
    'Packs that may wait so for all agents, three quarters of them for one; the broker hands out 2048 at most',
  ),
  busy_percent: count(80, 100).describe(
    'How full a queue is, in messages or bytes, when those who send to it are told to hold back',
  ),
  ready_percent: msOrNone(20, 99).describe('How full it is at most when they are told to go on'),
  busy_retry_ms: ms(2000, 60_000).describe('After which senders go on unless they are told again'),
  ready_jitter_ms: msOrNone(100, 5000).describe(
    'Over which the word to go on is spread, so that not all senders begin at once',
  ),
  senders_recent_ms: ms(30_000, 600_000).describe('Nodes that have sent within this time are told'),
  senders_max: count(1024, 100_000).describe('Nodes of which it is known that they send to one agent'),
  letters_bytes: bytes(64 * MiB).describe(
    'Bytes of dead letters that may wait for the broker; beyond, a full queue returns what comes',
  ),
  memory_bytes: bytes(128 * MiB).describe('Bytes of waiting mail kept in memory besides the disk'),
  window_bytes: bytes(4 * MiB).describe('Bytes of unacknowledged deliveries of one session'),
  observe_ms: ms(5000, 600_000).describe(
    'How long proof of a delivery is looked for before its sender is told that there is none yet',
  ),
  late_proof_ms: ms(600_000).describe(
    'How much longer a program’s next message waits for late proof of this one; at most to its deadline',
  ),
  announce_ms: ms(100, 60_000).describe('A message that has not ended after this long is reported as held'),
  dedupe_ms: ms(2 * TTL_CAP_MS).describe('How long the ids of messages are remembered'),
  receipts_waiting: count(20_000).describe(
    'Receipts of nodes that wait until it is known whether the agent that they are about lives there',
  ),
  directory_entries: count(100_000).describe(
    'Agents, nodes and channels of the org that are known here; what is beyond is left out',
  ),
  directory_fresh_ms: ms(3_600_000).describe(
    'How long the directory of the org is of use while the hub is away',
  ),
  directory_full_ms: ms(3_600_000).describe('Time after which the whole directory is asked for again'),
  move_remember_ms: ms(600_000, 86_400_000).describe(
    'How far back the node tells where an agent moves to what it has delivered, so that it is not repeated there',
  ),
  move_remember_max: count(10_000, 100_000).describe('Messages of one agent that it tells of at most'),
  move_keep_ms: ms(3_600_000, 86_400_000).describe(
    'How long an agent that has moved away is remembered, for mail that comes late',
  ),
  sessions: count(4096).describe('Sessions of agents at the same time'),
  slow_ms: ms(30_000, 3_600_000).describe(
    'How long a session may leave unread what is there for it, until it is cut off; its mail waits',
  ),
  receipts_kept: count(8192).describe(
    'Receipts of one agent that are kept for its session, also for the next one',
  ),
  receipts_kept_all: count(65_536).describe('The same of all agents together; about 1 KiB each'),
  receipts_keep_ms: ms(600_000).describe('How long they are kept on when the agent has no session'),
  hello_ms: ms(10_000, 60_000).describe('How long a session may take to say who it is'),
  agents: count(4096, LIMITS.rosterAgents).describe('Agents of this node'),
  roster_retry_ms: ms(60_000).describe(
    'After which an agent that the registry has refused, such as one whose name is taken, is tried again',
  ),
  waits: count(10_000).describe('Calls that wait for a message at the same time'),
  progress_messages: count(20_000).describe('Sent messages whose receipts are kept in memory'),
  pull_batch: count(8, 256).describe('Packs taken from the broker at once'),
  revocations: z
    .number()
    .int()
    .min(2)
    .max(100_000)
    .default(1000)
    .describe(
      'Revoked users and keys that are remembered; beyond, older tokens of the whole org are refused',
    ),
  heartbeat_ms: msOrNone(0, 60_000).describe(
    'Time between two signs of life, where it is less than what the hub asks for; 0: as the hub says',
  ),
  labels: z
    .string()
    .regex(/^$|^[a-z0-9][a-z0-9._-]{0,63}(,[a-z0-9][a-z0-9._-]{0,63}){0,31}$/)
    .default('')
    .describe('What this machine is or has, such as `gpu,region.eu`: at most 32 names, comma-separated'),
  tools: z
    .string()
    .regex(/^$|^[^,\s/]{1,100}(,[^,\s/]{1,100}){0,255}$/)
    .default(TOOLS)
    .describe('Programs whose presence on the path is told to the hub: at most 256 names, comma-separated'),
  hub_timeout_ms: ms(5000, 60_000).describe('How long an answer of the hub is waited for'),
});

export type NodeConfig = z.output<z.ZodObject<typeof nodeSection.shape>>;
