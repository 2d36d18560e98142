/** Every subject of the fabric, built and read here and nowhere else: type first, tenant next, the variable last. */

const ROOT = 'fw.v1';
const TOKEN = /^[a-z0-9_-]{1,64}$/;

/** Can it be one of the variable parts of a subject, as every id can? */
export function isSubjectToken(value: string): boolean {
  return TOKEN.test(value);
}

/** Stands for the agent in the inbox subject of messages to several agents of one node. */
export const MANY = '_many';

/** Stands for the recipient when a message led to nobody. */
export const UNKNOWN_RECIPIENT = '_unknown';

/** Stands for the node in the ingress subject of replays: delivery's, which alone may publish there. No id is like this. */
export const REPLAYS = '_replays';

export interface IngressSubject {
  readonly partition: number;
  readonly org: string;
  readonly node: string;
}
export interface InboxSubject {
  readonly shard: number;
  readonly org: string;
  readonly node: string;
  readonly agent: string;
}
export interface ReceiptSubject {
  readonly org: string;
  /** The node whose agent sent the message. */
  readonly toNode: string;
  /** Who says so: a node id, or the name of a service. */
  readonly from: string;
}
export interface DeadSubject {
  readonly org: string;
  readonly agent: string;
}
export interface NodeDeadSubject {
  readonly org: string;
  readonly agent: string;
  /** The node that says so: the recipient's. */
  readonly node: string;
}
export interface EventSubject {
  readonly org: string;
  readonly service: string;
  readonly name: string;
}
export interface MessageEventSubject {
  readonly org: string;
  readonly name: string;
}
export interface HeartbeatSubject {
  readonly org: string;
  readonly node: string;
}
export interface PeerSubject {
  readonly org: string;
  readonly to: string;
  readonly from: string;
}
export interface FlushSubject {
  /** Id of a router replica. */
  readonly instance: string;
}
export interface ProbeSubject {
  /** One bootstrap. */
  readonly run: string;
  readonly side: string;
}
export interface LiveSubject {
  readonly org: string;
  readonly agent: string;
}

/** Builds a subject from its parts, reads it back (undefined when it is another), and names the filters in use. */
interface SubjectType<T> {
  build(parts: T): string;
  parse(subject: string): T | undefined;
}

type Kind<V> = { readonly [K in keyof V]: V[K] extends number ? 'number' : 'token' };

function subjectType<T extends object>(
  type: string,
  order: readonly (keyof T)[],
  kinds: Kind<T>,
): SubjectType<T> {
  const prefix = `${ROOT}.${type}.`;
  return {
    build(parts) {
      let subject = prefix.slice(0, -1);
      for (const key of order) subject += `.${checkToken(key as string, parts[key], kinds[key])}`;
      return subject;
    },
    parse(subject) {
      if (!subject.startsWith(prefix)) return undefined;
      const tokens = subject.slice(prefix.length).split('.');
      if (tokens.length !== order.length) return undefined;
      const parts: Record<string, unknown> = {};
      for (const [i, key] of order.entries()) {
        const token = tokens[i]!;
        if (kinds[key] === 'number') {
          if (!/^(0|[1-9]\d{0,8})$/.test(token)) return undefined;
          parts[key as string] = Number(token);
        } else {
          if (!TOKEN.test(token)) return undefined;
          parts[key as string] = token;
        }
      }
      return parts as T;
    },
  };
}

function checkToken(name: string, value: unknown, kind: 'number' | 'token'): string {
  if (kind === 'number') {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 1e9)
      return String(value);
  } else if (typeof value === 'string' && TOKEN.test(value)) return value;
  throw new RangeError(`subject token ${name} is not usable: ${JSON.stringify(value)}`);
}

/** A node's way in: one partition each, pinned in its credentials. */
export const ingressSubject = subjectType<IngressSubject>('ingress', ['partition', 'org', 'node'], {
  partition: 'number',
  org: 'token',
  node: 'token',
});
/** One agent's waiting mail, on its node. */
export const inboxSubject = subjectType<InboxSubject>('inbox', ['shard', 'org', 'node', 'agent'], {
  shard: 'number',
  org: 'token',
  node: 'token',
  agent: 'token',
});
/** What became of messages, told to the sending node. */
export const receiptSubject = subjectType<ReceiptSubject>('receipt', ['org', 'toNode', 'from'], {
  org: 'token',
  toNode: 'token',
  from: 'token',
});
export const deadSubject = subjectType<DeadSubject>('dead', ['org', 'agent'], {
  org: 'token',
  agent: 'token',
});
/** As `deadSubject`, of a node: which one, the broker enforces. */
export const nodeDeadSubject = subjectType<NodeDeadSubject>('dead', ['org', 'agent', 'node'], {
  org: 'token',
  agent: 'token',
  node: 'token',
});
export const eventSubject = subjectType<EventSubject>('event', ['org', 'service', 'name'], {
  org: 'token',
  service: 'token',
  name: 'token',
});
/** An event about a single message: not among the others, whose stream would be full of them. */
export const messageEventSubject = subjectType<MessageEventSubject>('message', ['org', 'name'], {
  org: 'token',
  name: 'token',
});
/** Core NATS request: answered by a registry. */
export const heartbeatSubject = subjectType<HeartbeatSubject>('heartbeat', ['org', 'node'], {
  org: 'token',
  node: 'token',
});
/** Core NATS: frames that control a node, from another one or from a service. */
export const peerSubject = subjectType<PeerSubject>('peer', ['org', 'to', 'from'], {
  org: 'token',
  to: 'token',
  from: 'token',
});
/** Core NATS request: answered by the router replica once nothing of an agent's mail is under way by an older route. */
export const flushSubject = subjectType<FlushSubject>('flush', ['instance'], { instance: 'token' });
/** What bootstrap tries the servers with, on a stream of its own for each run. */
export const probeSubject = subjectType<ProbeSubject>('probe', ['run', 'side'], {
  run: 'token',
  side: 'token',
});
/** Core NATS: streamed tokens. */
export const liveSubject = subjectType<LiveSubject>('live', ['org', 'agent'], {
  org: 'token',
  agent: 'token',
});

/** Names of events that services read of each other; see Event in proto/fleetwire/v1/event.proto. */
export const EVENT_NAMES = {
  usage: 'usage',
  denied: 'denied',
  acted: 'acted',
  tokensRevoked: 'tokens_revoked',
  overflow: 'overflow',
} as const;

/** Filters with wildcards, for consumers, subscriptions and permissions. */
export const filters = {
  allIngress: `${ROOT}.ingress.>`,
  ingressOfPartition: (partition: number) =>
    `${ROOT}.ingress.${checkToken('partition', partition, 'number')}.>`,
  ingressOfOrg: (org: string) => `${ROOT}.ingress.*.${checkToken('org', org, 'token')}.>`,
  /** What delivery replays, of every org. */
  allReplays: `${ROOT}.ingress.*.*.${REPLAYS}`,
  allInbox: `${ROOT}.inbox.>`,
  inboxOfNode: (shard: number, org: string, node: string) => {
    const [s, o, n] = [checkToken('shard', shard, 'number'), checkToken('org', org, 'token'), node];
    return `${ROOT}.inbox.${s}.${o}.${checkToken('node', n, 'token')}.>`;
  },
  allReceipts: `${ROOT}.receipt.>`,
  receiptsOfOrg: (org: string) => `${ROOT}.receipt.${checkToken('org', org, 'token')}.>`,
  /** All receipts about what agents of `node` sent. */
  receiptsToNode: (org: string, node: string) =>
    `${ROOT}.receipt.${checkToken('org', org, 'token')}.${checkToken('node', node, 'token')}.*`,
  /** What `from` may publish as receipts, to whichever node. */
  receiptsFrom: (org: string, from: string) =>
    `${ROOT}.receipt.${checkToken('org', org, 'token')}.*.${checkToken('from', from, 'token')}`,
  /** Of every org. */
  allReceiptsFrom: (from: string) => `${ROOT}.receipt.*.*.${checkToken('from', from, 'token')}`,
  allDead: `${ROOT}.dead.>`,
  /** What nodes publish as dead letters, of every org. */
  allDeadOfNodes: `${ROOT}.dead.*.*.*`,
  deadOfNodes: (org: string) => `${ROOT}.dead.${checkToken('org', org, 'token')}.*.*`,
  /** What one node may publish as dead letters, about whichever agent. */
  deadFrom: (org: string, node: string) =>
    `${ROOT}.dead.${checkToken('org', org, 'token')}.*.${checkToken('node', node, 'token')}`,
  /** Letters of services and of nodes. */
  deadOfOrg: (org: string) => `${ROOT}.dead.${checkToken('org', org, 'token')}.>`,
  allEvents: `${ROOT}.event.>`,
  /** Of every org. */
  allEventsOf: (service: string) => `${ROOT}.event.*.${checkToken('service', service, 'token')}.*`,
  eventsOf: (org: string, service: string) =>
    `${ROOT}.event.${checkToken('org', org, 'token')}.${checkToken('service', service, 'token')}.*`,
  /** Of one service or all, of one name or all. */
  eventsOfOrg: (org: string, service?: string, name?: string) => {
    const part = (what: string, value?: string) =>
      value === undefined ? '*' : checkToken(what, value, 'token');
    return `${ROOT}.event.${checkToken('org', org, 'token')}.${part('service', service)}.${part('name', name)}`;
  },
  /** Of every org and service. */
  eventsNamed: (name: string) => `${ROOT}.event.*.*.${checkToken('name', name, 'token')}`,
  /** Events about single messages, of every org. */
  allMessageEvents: `${ROOT}.message.>`,
  /** Of one name or all. */
  messageEventsOfOrg: (org: string, name?: string) =>
    `${ROOT}.message.${checkToken('org', org, 'token')}.${name === undefined ? '*' : checkToken('name', name, 'token')}`,
  /** Control frames to `node`, from whomever. */
  framesToNode: (org: string, node: string) =>
    `${ROOT}.peer.${checkToken('org', org, 'token')}.${checkToken('node', node, 'token')}.*`,
  /** Control frames that `from` may send within an org. */
  framesFrom: (org: string, from: string) =>
    `${ROOT}.peer.${checkToken('org', org, 'token')}.*.${checkToken('from', from, 'token')}`,
  /** Of every org. */
  allFramesFrom: (from: string) => `${ROOT}.peer.*.*.${checkToken('from', from, 'token')}`,
  allFrames: `${ROOT}.peer.>`,
  allProbes: `${ROOT}.probe.>`,
  allFlushes: `${ROOT}.flush.*`,
  allHeartbeats: `${ROOT}.heartbeat.>`,
  heartbeatsOfOrg: (org: string) => `${ROOT}.heartbeat.${checkToken('org', org, 'token')}.*`,
} as const;
