/** Writes the reference pages from the code that they describe; with --check it only says whether they are up to date. */

import { readFileSync, writeFileSync } from 'node:fs';
import { cliSections } from '@fleetwire/cli/config';
import { type ConfigRow, describeConfig, sections } from '@fleetwire/config';
import {
  bootstrapConsumers,
  DEFAULT_SIZING,
  ERROR_TABLE,
  FABRIC_BUCKET,
  LEASES_BUCKET,
  LIMITS,
  nodeConsumer,
  ORGS_BUCKET,
  ROUTES_BUCKET,
  streamSpecs,
  TTL_CAP_MS,
  TTL_DEFAULT_MS,
} from '@fleetwire/contract';
import { delivery } from '@fleetwire/delivery';
import { node } from '@fleetwire/node';
import { org, PERMISSIONS } from '@fleetwire/org';
import { registry } from '@fleetwire/registry';
import { router } from '@fleetwire/router';
import { asyncApi } from './asyncapi.ts';
import { ABOUT_BROKER, ABOUT_IMPORTS, ABOUT_REPLIES, brokerRows, importRows } from './broker-permissions.ts';

const NOTICE = '<!-- Made by docs/reference/generate.ts; edit the code instead. -->';

const page = (...paragraphs: readonly string[]) => `${[NOTICE, ...paragraphs].join('\n\n')}\n`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((c) => c.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function configTable(rows: readonly ConfigRow[]): string {
  return table(
    ['key', 'default', 'what'],
    rows.map((row) => [
      `\`${row.key}\``,
      row.default === '' ? '' : `\`${row.default}\``,
      row.doc + (row.secret ? ' (secret)' : ''),
    ]),
  );
}

function configPage(): string {
  const { common, nats, database, rpc, keys, lifecycle, telemetry, ambient } = sections;
  const parts: [string, string, readonly ConfigRow[]][] = [
    [
      'Every service',
      'Read by all of them.',
      describeConfig({ common, nats, database, rpc, keys, lifecycle, telemetry }),
    ],
    [
      'Command line and agents',
      'Given to programs by the node that starts them, or set by people.',
      describeConfig({ ambient, up: cliSections.up, watch: cliSections.watch }),
    ],
    ...[org, registry, router, delivery, node].map((service): [string, string, readonly ConfigRow[]] => [
      service.name,
      `Read by \`services/${service.name}\` only.`,
      describeConfig(service.config),
    ]),
  ];
  const text = parts
    .map(([title, about, rows]) => `## ${title}\n\n${about}\n\n${configTable(rows)}`)
    .join('\n\n');
  const about = [
    'Every key is an environment variable. An unknown `FLEETWIRE_*` key is an error, and so is a value that does not fit;',
    'an empty value counts as not set. Telemetry is exported by the standard `OTEL_EXPORTER_OTLP_*` variables and is off',
    'without them.',
  ];
  return page('# Configuration', about.join(' '), text);
}

function errorPage(): string {
  const rows = Object.entries(ERROR_TABLE).map(([kind, row]) => [
    `\`${kind}\``,
    String(row.grpc),
    String(row.http),
    `\`${row.disposition}\``,
    row.retryable ? 'yes' : 'no',
    String(row.exit),
  ]);
  const about = [
    'An error has a *kind*, a stable *reason* in capitals, a message for people, and often a help line that says what to do.',
    'Over gRPC the reason travels as `google.rpc.ErrorInfo` with the domain `fleetwire`.',
  ];
  const consumers = [
    'Consumers: `ack` settles the message otherwise, `nak_delay` tries again later, `dead_letter` records it durably and',
    'goes on.',
  ];
  const head = ['kind', 'gRPC', 'HTTP', 'consumer', 'retry can help', 'exit code'];
  return page('# Errors', about.join(' '), table(head, rows), consumers.join(' '));
}

const size = (bytes: number) =>
  bytes % 1024 ** 2 === 0 ? `${bytes / 1024 ** 2} MiB` : `${bytes / 1024} KiB`;
const seconds = (ns: number) => (ns === 0 ? 'none' : `${ns / 1e9} s`);

function streamPage(): string {
  const streams = streamSpecs().map((s) => [
    `\`${s.name}\``,
    s.subjects.map((x) => `\`${x}\``).join(' '),
    s.retention,
    `discard ${s.discard}${s.discard_new_per_subject ? ', also by subject' : ''}`,
    s.max_msgs_per_subject > 0 ? String(s.max_msgs_per_subject) : '',
    size(s.max_bytes),
    seconds(s.max_age),
    seconds(s.duplicate_window),
  ]);
  const consumers = [...bootstrapConsumers(1), nodeConsumer(0, 'org', 'node')].map((c) => [
    `\`${c.durable_name}\``,
    `\`${c.stream}\``,
    `\`${c.filter_subject}\``,
    c.ack_policy,
    seconds(c.ack_wait),
    String(c.max_ack_pending),
  ]);
  const buckets = [ROUTES_BUCKET, ORGS_BUCKET, LEASES_BUCKET, FABRIC_BUCKET].map((b) => [
    `\`${b.name}\``,
    b.ttl_ms === 0 ? 'none' : `${b.ttl_ms} ms`,
    size(b.max_bytes),
  ]);
  const limits = [
    ['body of a message', size(LIMITS.bodyBytes)],
    ['pack', `${LIMITS.packMessages} messages and ${size(LIMITS.packBytes)}`],
    ['`max_payload` of the NATS servers, at least', size(LIMITS.serverMaxPayload)],
    ['time to live', `default ${TTL_DEFAULT_MS / 1000} s, at most ${TTL_CAP_MS / 1000} s`],
    ['connections of the nodes of one org', String(LIMITS.orgConnections)],
    ['gRPC message', size(LIMITS.rpcMessageBytes)],
  ];
  const about = [
    `Sizes are the defaults of bootstrap (${DEFAULT_SIZING.replicas} replica);`,
    'all else is verified by every service at its start.',
  ];
  const streamHead = [
    'stream',
    'subjects',
    'retention',
    'when full',
    'per subject',
    'bytes',
    'age',
    'dedupe',
  ];
  return page(
    '# Subjects, streams, consumers',
    about.join(' '),
    table(streamHead, streams),
    table(['consumer', 'stream', 'filter', 'ack', 'ack wait', 'max pending'], consumers),
    'One router consumer for each partition and epoch, one node consumer for each node.',
    table(['bucket', 'ttl', 'bytes'], buckets),
    table(['limit', 'value'], limits),
  );
}

type Permission = (typeof PERMISSIONS)[keyof typeof PERMISSIONS];

/** In the order of the head: who may, by the token alone and by the role. */
function permissionCells(name: string, permission: Permission): string[] {
  const services = (...named: readonly string[]) =>
    ['registry', 'others', 'node', 'operator'].map((name) => (named.includes(name) ? 'yes' : ''));
  switch (permission.for) {
    case 'anyone':
      return ['none', ...Array.from({ length: 9 }, () => 'yes')];
    case 'services':
      return ['', '', '', '', '', '', ...services(...permission.services)];
    case 'members': {
      const { owner, admin, member } = permission.grants;
      const grants = [owner, admin, member].map((grant) => ({ yes: 'yes', own: 'own only', no: '' })[grant]);
      const scope = permission.scope === undefined ? 'any' : `\`${permission.scope}\``;
      const stranger = name === 'createOrg' ? 'yes' : '';
      return [scope, ...grants, stranger, '', ...services(...(permission.operator ? ['operator'] : []))];
    }
  }
}

function permissionPage(): string {
  const rows = Object.entries(PERMISSIONS).map(([name, permission]) => [
    `${name.charAt(0).toUpperCase()}${name.slice(1)}`,
    ...permissionCells(name, permission),
    `\`${permission.action}\``,
  ]);
  const about = [
    'Who may call what of `OrgService`. An empty cell is a refusal. A person needs both: the scope in the token, and the role',
    'that they have at that moment. A token has the scopes of its API key as far as the role allows them: `admin` stands for',
    'all scopes, and a member never has it.',
  ];
  const own = [
    '**own only**: what belongs to the caller: their API keys, their workspaces with the agents that are assigned to them, and',
    'policies for their user, their workspaces or the repositories in these, with a priority of at most 0. What belongs to',
    'another member is refused with `ROLE_TOO_LOW`.',
  ];
  const others = [
    "**Another org**: a token is for one org. Any other in a request is `ORG_UNKNOWN`, and ids of another org's members,",
    'invites, workspaces, API keys and policies are answered like ids that nobody has, word for word. `CreateOrg` names no',
    'org: whoever is a member of any may.',
  ];
  const refusals = [
    'Without a token: `TOKEN_MISSING`. Without the scope: `SCOPE_MISSING`. With a role that is too low: `ROLE_TOO_LOW`. With a',
    'token from before the caller left: `NOT_A_MEMBER`, and within 5 s `TOKEN_REVOKED`. Nodes and services where people are',
    'asked for: `NOT_A_USER`; others where a service is: `SERVICE_ONLY`. Who was refused is in the audit of their org, under',
    'the name in the last column: at most 30 entries a minute of one caller, and then how many were left out.',
  ];
  const people = ['owner', 'admin', 'member', 'member of another org', 'no token'];
  const head = ['call', 'scope', ...people, 'registry', 'other services', 'node', 'operator', 'in the audit'];
  return page(
    '# Permissions',
    about.join(' '),
    table(head, rows),
    own.join(' '),
    others.join(' '),
    refusals.join(' '),
    '## The broker',
    ABOUT_BROKER,
    table(['user', 'may', 'subjects'], brokerRows()),
    ABOUT_IMPORTS,
    table(['subjects', 'way'], importRows()),
    ABOUT_REPLIES,
  );
}

const PAGES: Readonly<Record<string, () => string>> = {
  'config.md': configPage,
  'errors.md': errorPage,
  'permissions.md': permissionPage,
  'streams.md': streamPage,
  'asyncapi.json': () => `${JSON.stringify(asyncApi(), null, 2)}\n`,
};

const check = process.argv.includes('--check');
const stale: string[] = [];
for (const [name, page] of Object.entries(PAGES)) {
  const file = new URL(`./${name}`, import.meta.url);
  const text = page();
  let found = '';
  try {
    found = readFileSync(file, 'utf8');
  } catch {
    // not there yet
  }
  if (found === text) continue;
  if (check) stale.push(name);
  else writeFileSync(file, text);
}
if (stale.length > 0) {
  console.error(`out of date: ${stale.join(', ')}; run: make gen`);
  process.exitCode = 1;
}
