/** The sections that more than one part reads. A service's own section is in its folder. */

import { LIMITS } from '@fleetwire/contract';
import { z } from 'zod';
import { defineSection, secretText } from './section.ts';

const ms = (initial: number, max = 3_600_000) => z.number().int().min(0).max(max).default(initial);
const file = () => z.string().min(1).optional();

const common = defineSection('', {
  home: file().describe(
    'Folder for everything; without it the XDG base folders, for root /var/lib/fleetwire',
  ),
  log_level: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('Least severe level that is logged'),
  instance: z
    .string()
    .regex(/^[a-z0-9_-]{0,40}$/, 'use up to 40 of a-z, 0-9, - and _')
    .default('')
    .describe('Name of this replica, unique among its kind; made up when empty'),
});

const nats = defineSection('nats', {
  url: z.string().min(1).default('nats://127.0.0.1:4222').describe('Servers, comma-separated'),
  single_tenant: z
    .boolean()
    .default(false)
    .describe('Accept a server without accounts: nothing then keeps orgs apart'),
  creds_file: file().describe('Credentials file; else the one of this service in the keys folder'),
  server: file().describe('The nats-server binary that embedded mode and tests start'),
});

const database = defineSection('database', {
  url: secretText()
    .min(1)
    .default('postgres://127.0.0.1:5432/fleetwire')
    .describe('PostgreSQL, with user and password'),
  pool_max: z
    .number()
    .int()
    .min(1)
    .max(200)
    .default(8)
    .describe('Connections of one service at most; any has 2, delivery 4'),
});

const rpc = defineSection('rpc', {
  listen: z
    .string()
    .regex(/^(unix:.+|.+:\d{1,5})$/, 'use host:port or unix:/path')
    .default('127.0.0.1:0')
    .describe('host:port or unix:/path that gRPC listens on; port 0: a free one'),
  advertise: z
    .string()
    .min(1)
    .optional()
    .describe('Address that others are told, when it is not the one listened on'),
  deadline_ms: ms(10_000).describe('Deadline of a call that sets none'),
  max_message_bytes: z
    .number()
    .int()
    .min(65_536)
    .max(67_108_864)
    .default(LIMITS.rpcMessageBytes)
    .describe('One gRPC message in either direction'),
  tls_cert_file: file().describe('PEM certificate chain; with it the server speaks TLS only'),
  tls_key_file: file().describe('PEM private key that belongs to it'),
  tls_ca_file: file().describe('PEM certificates of the authorities that clients trust'),
});

const keys = defineSection('keys', {
  dir: file().describe('Folder of keys and trust made by bootstrap; else `keys` in the data folder'),
});

const lifecycle = defineSection('lifecycle', {
  grace_ms: ms(10_000, 600_000).describe('After a signal: time to finish what is in flight'),
  force_ms: ms(5_000, 600_000).describe('After the grace time: time until the process exits regardless'),
  wait_ms: ms(30_000).describe('At start: how long to wait for PostgreSQL and NATS'),
});

const telemetry = defineSection('telemetry', {
  metrics_interval_ms: z
    .number()
    .int()
    .min(1000)
    .max(3_600_000)
    .default(15_000)
    .describe('Time between two exports of metrics'),
});

/** Context of a command or an agent rather than settings: set for programs that run under a node, or by people. */
const ambient = defineSection('', {
  node_address: z.string().min(1).optional().describe('Where the node of this machine answers'),
  node_file: file().describe('File in which the node says where it answers since its last start'),
  agent: z.string().min(1).optional().describe('Name of the agent that this program is'),
  agent_id: z.string().min(1).optional().describe('Id of the agent that this program is'),
  agent_token: secretText().optional().describe('Proof that this program is that agent'),
  agent_messages: file().describe('File of the messages that were typed into this program’s terminal'),
  context: z.string().min(1).optional().describe('Which saved context the command line uses'),
  org: z.string().min(1).optional().describe('Org that the command line acts in'),
  hub: z.string().min(1).optional().describe('Address of the hub'),
  api_key: secretText().optional().describe('API key of a person or program'),
  join_token: secretText().optional().describe('Single-use token with which a node joins'),
});

export const sections = { common, nats, database, rpc, keys, lifecycle, telemetry, ambient };
