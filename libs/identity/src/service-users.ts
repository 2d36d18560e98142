/** The NATS users of the services: what each may publish and subscribe to in the fabric's account, and nothing else. */

import {
  DELIVERY_DEAD,
  DELIVERY_HISTORY,
  DELIVERY_RECEIPTS,
  FABRIC_BUCKET,
  filters,
  LEASE_KEYS,
  LEASES_BUCKET,
  ORG_ACTED,
  ORG_DENIED,
  ORG_USAGE,
  ORGS_BUCKET,
  PROBE_CONSUMER,
  ROUTES_BUCKET,
} from '@fleetwire/contract';
import {
  ALL_OF_JETSTREAM,
  acksBy,
  allOfConsumer,
  CLAIMS_LIST,
  CLAIMS_UPDATE,
  claimsLookup,
  consumerNames,
  consumersOf,
  getsOf,
  infoOf,
  makingOfConsumer,
  messagesOf,
  pullsOf,
  purgesOf,
  readsOf,
  subscribersOf,
  watchesOf,
  withoutNeedless,
  writesOf,
} from './jetstream-subjects.ts';

/** What the servers let a user do. Patterns as in subscriptions; what is not listed is refused. */
export interface UserRights {
  readonly publish: readonly string[];
  /** Taken out of `publish`. */
  readonly neverPublish?: readonly string[];
  readonly subscribe: readonly string[];
}

/** Prefix of the reply subjects of a service's connections; its permissions cover no other. */
export const serviceInboxPrefix = (service: string): string => `_INBOX_${service}`;

/** Subjects by which nats-server sends answers back through accounts. */
const WAYS_BACK = '_R_.>';
const inboxOf = (service: string): string => `${serviceInboxPrefix(service)}.>`;
const sweeps = (...names: readonly string[]): string[] =>
  names.map((name) => writesOf(LEASES_BUCKET, LEASE_KEYS.sweep(name)));

/** What every service does at its start: it reads what bootstrap decided, measures the clock, follows the orgs. */
const COMMON = [
  ...readsOf(FABRIC_BUCKET),
  ...readsOf(LEASES_BUCKET),
  writesOf(LEASES_BUCKET, LEASE_KEYS.clock('*')),
  ...watchesOf(ORGS_BUCKET),
];

/** Beyond COMMON and the service's own inbox. */
const OWN: Readonly<Record<string, UserRights>> = {
  org: {
    publish: [
      filters.allEventsOf('org'),
      ...infoOf('EVENTS'),
      ...pullsOf(ORG_USAGE, ORG_DENIED, ORG_ACTED),
      ...readsOf(ORGS_BUCKET),
      writesOf(ORGS_BUCKET, '*'),
    ],
    subscribe: [],
  },
  registry: {
    publish: [
      filters.allEventsOf('registry'),
      filters.allFramesFrom('registry'),
      filters.allReceiptsFrom('registry'),
      filters.allInbox,
      filters.allDead,
      filters.allFlushes,
      ...infoOf('INBOX', 'EVENTS', 'RECEIPTS', 'DEAD', 'MESSAGES'),
      ...messagesOf('INBOX'),
      ...consumersOf('INBOX'),
      ...subscribersOf('RECEIPTS', 'EVENTS', 'DEAD', 'MESSAGES'),
      ...readsOf(ROUTES_BUCKET),
      ...watchesOf(ROUTES_BUCKET),
      writesOf(ROUTES_BUCKET, '*.*'),
      purgesOf(ROUTES_BUCKET),
      ...watchesOf(LEASES_BUCKET),
      ...sweeps('registry', 'registry-orgs', 'registry-moves'),
      // Answers to heartbeats: the way back to a node leads through the accounts, by a subject that the servers choose at
      // random. Not by nats-server's response permissions: of every message that has a reply subject, each change of
      // a route among them, it keeps a note, and looks through all notes at each further message once there are 4,096.
      WAYS_BACK,
    ],
    neverPublish: [DELIVERY_RECEIPTS, DELIVERY_DEAD, ORG_USAGE, ORG_DENIED, ORG_ACTED].flatMap(
      makingOfConsumer,
    ),
    subscribe: [filters.allHeartbeats],
  },
  router: {
    publish: [
      filters.allInbox,
      filters.allReceiptsFrom('router'),
      filters.allDead,
      filters.allEventsOf('router'),
      filters.allFramesFrom('router'),
      ...infoOf('INGRESS', 'INBOX', 'RECEIPTS', 'DEAD', 'EVENTS'),
      ...consumersOf('INGRESS'),
      consumerNames('INGRESS'),
      getsOf('INGRESS'),
      ...pullsOf({ stream: 'INGRESS', durable_name: '*' }),
      ...readsOf(ROUTES_BUCKET),
      ...watchesOf(ROUTES_BUCKET),
      ...watchesOf(LEASES_BUCKET),
      writesOf(LEASES_BUCKET, 'router.>'),
      // Answers to flushes, which only a registry may ask for. Not by response permissions: the server would take a note of every
      // message that has a reply subject, and all that a router pulls has one.
      inboxOf('registry'),
    ],
    neverPublish: allOfConsumer(DELIVERY_HISTORY),
    subscribe: [filters.allFlushes],
  },
  delivery: {
    publish: [
      filters.allReplays,
      filters.allReceiptsFrom('delivery'),
      filters.allDead,
      filters.allEventsOf('delivery'),
      filters.allMessageEvents,
      ...infoOf('INGRESS', 'INBOX', 'RECEIPTS', 'DEAD', 'EVENTS', 'MESSAGES'),
      ...pullsOf(DELIVERY_HISTORY, DELIVERY_RECEIPTS, DELIVERY_DEAD),
      ...messagesOf('INBOX'),
      ...readsOf(ROUTES_BUCKET),
      ...watchesOf(ROUTES_BUCKET),
      ...sweeps('delivery'),
    ],
    subscribe: [],
  },
};

/** Not services: who makes the streams, and who tells the servers of accounts (in the system account). */
const TOOLS: Readonly<Record<string, UserRights>> = {
  bootstrap: {
    publish: [ALL_OF_JETSTREAM, writesOf(FABRIC_BUCKET, '>'), filters.allProbes, acksBy(PROBE_CONSUMER)],
    subscribe: [inboxOf('bootstrap')],
  },
  sys: { publish: [CLAIMS_UPDATE, CLAIMS_LIST, claimsLookup('*')], subscribe: [inboxOf('sys')] },
};

/** Everybody with credentials in the keys folder, in the order of the reference page. */
export const SERVICE_USERS = [...Object.keys(OWN), ...Object.keys(TOOLS)] as readonly string[];

/** The rights of one of SERVICE_USERS; any other service only has what all have. */
export function serviceRights(name: string): UserRights {
  const tool = TOOLS[name];
  if (tool !== undefined) return tool;
  const own = OWN[name];
  return {
    ...own,
    publish: withoutNeedless([...new Set([...COMMON, ...(own?.publish ?? [])])]),
    subscribe: [inboxOf(name), ...(own?.subscribe ?? [])],
  };
}
