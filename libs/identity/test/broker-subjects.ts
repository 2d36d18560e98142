/** Everything that somebody might try at the NATS servers, made from the parts of the subjects; for broker-rights. */

import {
  DELIVERY_DEAD,
  DELIVERY_HISTORY,
  DELIVERY_RECEIPTS,
  deadSubject,
  eventSubject,
  FABRIC_BUCKET,
  filters,
  flushSubject,
  heartbeatSubject,
  inboxSubject,
  ingressSubject,
  LEASE_KEYS,
  LEASES_BUCKET,
  liveSubject,
  MESSAGE_EVENTS,
  messageEventSubject,
  nodeConsumer,
  nodeDeadSubject,
  ORG_DENIED,
  ORG_USAGE,
  ORGS_BUCKET,
  PROBE_CONSUMER,
  PROBE_STREAM,
  peerSubject,
  probeSubject,
  ROUTES_BUCKET,
  receiptSubject,
  routeKey,
  routerConsumer,
  SUBSCRIBED,
  type Subscribed,
  streamSpecs,
  subscriberConsumerName,
} from '@fleetwire/contract';
import { nodeInboxPrefix, SERVICE_USERS, serviceInboxPrefix, subscriberInboxPrefix } from '../src/index.ts';

export interface Place {
  readonly org: string;
  readonly nodes: readonly string[];
}

const SERVICES = ['org', 'registry', 'router', 'delivery'];
const BUCKETS = [ROUTES_BUCKET, ORGS_BUCKET, LEASES_BUCKET, FABRIC_BUCKET];
const STREAMS = [
  ...streamSpecs().map((s) => s.name),
  ...BUCKETS.map((b) => `KV_${b.name}`),
  `${PROBE_STREAM}x`,
  'NOPE',
];
/** All that can be followed. */
export const FOLLOWED = Object.keys(SUBSCRIBED) as readonly Subscribed[];
const OF_STREAM = ['CREATE', 'UPDATE', 'DELETE', 'INFO', 'PURGE', 'SNAPSHOT', 'RESTORE', 'LEADER.STEPDOWN'];
const OF_CONSUMER = ['INFO', 'DELETE', 'MSG.NEXT', 'PAUSE', 'LEADER.STEPDOWN', 'UNPIN', 'RESET'];
const OF_ACCOUNT = ['INFO', 'STREAM.NAMES', 'STREAM.LIST', 'META.LEADER.STEPDOWN', 'SERVER.REMOVE'];
const OF_SYSTEM = ['SERVER.PING', 'SERVER.PING.CONNZ', 'USER.INFO', 'ACCOUNT.PING.SUBSZ'];
const CLAIMS = ['CLAIMS.UPDATE', 'CLAIMS.LIST', 'CLAIMS.DELETE', 'CLAIMS.PACK'];

/** Subjects without wildcards, for publishing. */
export function subjectsToTry(places: readonly Place[], account: string): string[] {
  return [
    ...new Set([
      ...places.flatMap(ofPlace),
      ...apiOf(places),
      ...keysOf(places),
      ...system(account),
      ...inboxes(places),
    ]),
  ];
}

function ofPlace({ org, nodes }: Place): string[] {
  const froms = [...nodes, ...SERVICES];
  return [
    ...[...SERVICES, 'gateway'].map((service) => eventSubject.build({ org, service, name: 'x' })),
    ...Object.keys(MESSAGE_EVENTS).map((name) => messageEventSubject.build({ org, name })),
    deadSubject.build({ org, agent: 'a_x' }),
    ...froms.map((from) => nodeDeadSubject.build({ org, agent: 'a_x', node: from })),
    liveSubject.build({ org, agent: 'a_x' }),
    flushSubject.build({ instance: 'x' }),
    probeSubject.build({ run: 'x', side: 'mine' }),
    ...nodes.flatMap((node) => [
      ...[0, 1, 2, 3, 4, 5, 6, 7].map((partition) => ingressSubject.build({ partition, org, node })),
      ...[0, 1].map((shard) => inboxSubject.build({ shard, org, node, agent: 'a_x' })),
      ...froms.map((from) => receiptSubject.build({ org, toNode: node, from })),
      ...froms.map((from) => peerSubject.build({ org, to: node, from })),
      heartbeatSubject.build({ org, node }),
    ]),
  ];
}

function apiOf(places: readonly Place[]): string[] {
  const durables = [
    DELIVERY_DEAD,
    DELIVERY_HISTORY,
    DELIVERY_RECEIPTS,
    ORG_DENIED,
    ORG_USAGE,
    routerConsumer(0, 1),
  ]
    .map((c) => c.durable_name)
    .concat(places.flatMap(({ org, nodes }) => nodes.map((n) => nodeConsumer(0, org, n).durable_name)))
    .concat(places.map(({ org }) => subscriberConsumerName(org, 'tail')));
  const calls = STREAMS.flatMap((s) => [
    ...OF_STREAM.map((call) => `STREAM.${call}.${s}`),
    ...['STREAM.MSG.GET', 'STREAM.MSG.DELETE', 'DIRECT.GET'].map((call) => `${call}.${s}`),
    `DIRECT.GET.${s}.${filters.allInbox.slice(0, -2)}.0.x.y.z`,
    ...['LIST', 'NAMES', 'CREATE'].map((call) => `CONSUMER.${call}.${s}`),
    ...[...durables, 'x'].flatMap((c) => [
      ...OF_CONSUMER.map((call) => `CONSUMER.${call}.${s}.${c}`),
      `CONSUMER.CREATE.${s}.${c}`,
      `CONSUMER.CREATE.${s}.${c}.fw.v1.x`,
      `CONSUMER.DURABLE.CREATE.${s}.${c}`,
    ]),
  ]);
  const acks = STREAMS.flatMap((s) =>
    [...durables, PROBE_CONSUMER, 'x'].map((c) => `$JS.ACK.${s}.${c}.1.9.9.9.0`),
  );
  const inDomain = calls.filter((call) => /^CONSUMER\.(INFO|MSG\.NEXT|DELETE|CREATE)\./.test(call));
  return [
    ...[...OF_ACCOUNT, ...calls].map((call) => `$JS.API.${call}`),
    ...inDomain.map((call) => `$JS.fleetwire.API.${call}`),
    ...acks,
  ];
}

function keysOf(places: readonly Place[]): string[] {
  const leases = [LEASE_KEYS.clock('x'), LEASE_KEYS.partition(0), LEASE_KEYS.router('x')];
  const sweeps = [...SERVICES, 'registry-orgs', 'registry-moves'].map(LEASE_KEYS.sweep);
  const ids = places.flatMap(({ org, nodes }) => [
    org,
    routeKey(org, 'a_x'),
    ...nodes.map((n) => routeKey(org, n)),
  ]);
  return BUCKETS.flatMap((b) =>
    [...leases, ...sweeps, ...ids, 'record'].map((key) => `$KV.${b.name}.${key}`),
  );
}

function system(account: string): string[] {
  const ofAccount = ['CLAIMS.LOOKUP', 'INFO', 'CONNZ', 'JSZ', 'SUBSZ'].map(
    (call) => `ACCOUNT.${account}.${call}`,
  );
  return [...OF_SYSTEM, ...CLAIMS, ...ofAccount].map((call) => `$SYS.REQ.${call}`);
}

function inboxes(places: readonly Place[]): string[] {
  const users = [
    ...places.flatMap((p) => p.nodes.map(nodeInboxPrefix)),
    ...SERVICE_USERS.map(serviceInboxPrefix),
    ...FOLLOWED.map((what) => subscriberInboxPrefix(what, 'tail')),
  ];
  return [...users, '_INBOX', '_R_', '_GR_'].map((prefix) => `${prefix}.x`);
}

/** Filters, for subscribing. */
export function filtersToTry(places: readonly Place[], account: string): string[] {
  const ofPlaces = places.flatMap(({ org, nodes }) => [
    ...SERVICES.map((service) => filters.eventsOf(org, service)),
    ...[...nodes, ...SERVICES].map((from) => filters.receiptsFrom(org, from)),
    ...[...nodes, ...SERVICES].map((from) => filters.framesFrom(org, from)),
    filters.receiptsOfOrg(org),
    filters.messageEventsOfOrg(org),
    filters.heartbeatsOfOrg(org),
    filters.ingressOfOrg(org),
    ...nodes.flatMap((node) => [
      filters.receiptsToNode(org, node),
      filters.framesToNode(org, node),
      filters.inboxOfNode(0, org, node),
      `${nodeInboxPrefix(node)}.>`,
    ]),
  ]);
  const all = [
    filters.allIngress,
    filters.allInbox,
    filters.allReceipts,
    filters.allDead,
    filters.allEvents,
    filters.allMessageEvents,
    filters.allHeartbeats,
    filters.allFlushes,
    filters.allProbes,
    filters.eventsNamed('x'),
    'fw.v1.peer.>',
    'fw.v1.live.>',
    'fw.>',
  ];
  const servers = [
    '$JS.>',
    '$JS.API.>',
    '$JS.ACK.>',
    '$JS.EVENT.>',
    '$KV.>',
    '$SYS.>',
    `$SYS.ACCOUNT.${account}.>`,
  ];
  const prefixes = [
    ...FOLLOWED.map((what) => subscriberInboxPrefix(what, 'tail')),
    ...SERVICE_USERS.map(serviceInboxPrefix),
    '_INBOX',
    '_R_',
    '_GR_',
  ].map((p) => `${p}.>`);
  const exact = subjectsToTry(places, account).filter((subject) => !subject.startsWith('$JS.API'));
  return [...new Set([...ofPlaces, ...all, ...servers, ...prefixes, ...exact, '>', '*', '*.>', 'x'])];
}

/** Does `pattern` take in all that `subject` does, which may be a pattern itself? Written apart from the servers' own. */
export function covers(pattern: string, subject: string): boolean {
  const [wanted, given] = [pattern.split('.'), subject.split('.')];
  for (const [i, token] of wanted.entries()) {
    if (token === '>') return given.length > i;
    if (given[i] === undefined || given[i] === '>') return false;
    if (token !== '*' && token !== given[i]) return false;
  }
  return wanted.length === given.length;
}
