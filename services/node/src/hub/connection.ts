/** One connection to NATS, by one JWT, with what the node hears and says on it. */

import type { Broker, connectBroker } from '@fleetwire/broker';
import { filters, heartbeatSubject, peerSubject, receiptSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Heartbeat, HeartbeatReply } from '@fleetwire/gen/message';
import { nodeInboxPrefix } from '@fleetwire/identity';
import { type Busy, peerSignal, type Ready } from '../domain/peer-signal.ts';
import type { NodeClock } from './node-clock.ts';
import type { NatsCredentials } from './registry-door.ts';

/** What comes by a connection; while two overlap, it comes twice. */
export interface Hearing {
  /** Receipts about what agents of this node have sent, as encoded batches. */
  receipts(publisher: string, encoded: Uint8Array): void;
  /** An event that org has told of this node's org. */
  event(subject: string, encoded: Uint8Array): void;
  /** The registry has news: its answer to a heartbeat has them. */
  nudged(why: string): void;
  /** A recipient is busy, or takes mail again. */
  pressure(signal: Busy | Ready): void;
  /** The servers do not let this node hear events. */
  deaf(): void;
}

export interface ConnectionParts {
  readonly org: string;
  readonly node: string;
  readonly clock: NodeClock;
  readonly timeoutMs: number;
  readonly hearing: Hearing;
  readonly connect: typeof connectBroker;
  /** The newest, asked at each connect. */
  credentials(): NatsCredentials | undefined;
}

/** The service that says what happens in an org. */
const ORG = 'org';

export class Connection {
  readonly broker: Broker;
  readonly #parts: ConnectionParts;
  readonly #presented: Presented;
  readonly #ended = new AbortController();
  readonly #offs: (() => void)[] = [];

  private constructor(parts: ConnectionParts, broker: Broker, presented: Presented) {
    this.#parts = parts;
    this.broker = broker;
    this.#presented = presented;
    broker.onClosed(() => this.#ended.abort());
    this.#listen();
  }

  /** Rejects as `connectBroker`. */
  static async open(parts: ConnectionParts, urls: readonly string[]): Promise<Connection> {
    const presented = new Presented();
    const first = parts.credentials();
    const tenant = first !== undefined && first.jwt !== '';
    const credentials = () => {
      const { jwt, key } = presented.take(parts.credentials() ?? first!, parts.clock);
      return { jwt, seed: new TextEncoder().encode(key.seed) };
    };
    if (first !== undefined) presented.take(first, parts.clock);
    const broker = await parts.connect({
      urls: [...urls],
      name: `node-${parts.node}`,
      inboxPrefix: nodeInboxPrefix(parts.node),
      waitMs: parts.timeoutMs,
      ...(tenant ? { credentials } : {}),
    });
    return new Connection(parts, broker, presented);
  }

  /** Aborts when it is closed for good. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Of the node's key by which the server last let it in; '' when nobody knows. */
  get publicKey(): string {
    return this.#presented.credentials?.key.publicKey ?? '';
  }

  /** Called when it is lost and when it is back, until `unfollow` or `close`. */
  follow(lost: () => void, back: () => void): void {
    this.#offs.push(this.broker.onDisconnect(lost), this.broker.onGeneration(back));
  }

  /** Is it time for a connection by `newest`: past half of the life of its own, or because the key is another one? */
  isDue(newest: NatsCredentials | undefined): boolean {
    return newest !== undefined && this.#presented.isDue(newest, this.#parts.clock);
  }

  /** Rejects as `Broker.request`. Learns the broker's time. */
  async beat(said: Heartbeat, timeoutMs = this.#parts.timeoutMs): Promise<HeartbeatReply> {
    const { org, node, clock } = this.#parts;
    const asked = clock.monotonicMs();
    const subject = heartbeatSubject.build({ org, node });
    const reply = HeartbeatReply.decode(
      await this.broker.request(subject, encode(Heartbeat, said), timeoutMs),
    );
    clock.learn(reply.brokerTimeUs, clock.monotonicMs() - asked);
    this.broker.clock.set(clock.offsetUs);
    return reply;
  }

  /** What `follow` asked for ends. */
  unfollow(): void {
    for (const off of this.#offs.splice(0)) off();
  }

  /** Waits for what is on its way, then closes. */
  drain(): Promise<void> {
    return this.broker.drain();
  }

  close(): Promise<void> {
    this.unfollow();
    return this.broker.close();
  }

  #listen(): void {
    const { org, node, hearing } = this.#parts;
    this.broker.subscribe(filters.receiptsToNode(org, node), (message) => {
      // What this node says itself it has already heard, also while there is no hub.
      const publisher = receiptSubject.parse(message.subject)?.from;
      if (publisher !== undefined && publisher !== node) hearing.receipts(publisher, message.data);
    });
    const onRefused = () => hearing.deaf();
    this.broker.subscribe(filters.eventsOf(org, ORG), (m) => hearing.event(m.subject, m.data), { onRefused });
    // A hub of before does not allow it; then the next heartbeat has the news.
    this.broker.subscribe(filters.framesToNode(org, node), (message) => {
      const from = peerSubject.parse(message.subject)?.from;
      const signal = from === undefined ? undefined : peerSignal(from, message.data);
      if (signal?.kind === 'nudge') hearing.nudged(signal.why);
      else if (signal !== undefined) hearing.pressure(signal);
    });
  }
}

/** By what the server let this connection in, and since when. */
class Presented {
  credentials: NatsCredentials | undefined;
  #halfMs = Number.POSITIVE_INFINITY;

  take(credentials: NatsCredentials, clock: NodeClock): NatsCredentials {
    if (credentials.jwt === this.credentials?.jwt) return credentials;
    const nowMs = clock.nowUs() / 1000;
    const { expiresAtMs } = credentials;
    this.#halfMs = expiresAtMs === 0 ? Number.POSITIVE_INFINITY : (nowMs + expiresAtMs) / 2;
    this.credentials = credentials;
    return credentials;
  }

  isDue({ jwt, key }: NatsCredentials, clock: NodeClock): boolean {
    if (key.publicKey !== this.credentials?.key.publicKey) return true;
    return jwt !== this.credentials.jwt && clock.nowUs() / 1000 >= this.#halfMs;
  }
}
