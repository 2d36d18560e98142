/** The one door to NATS: what a service or a node can do with the broker. */

import type { BucketSpec, StreamName } from '@fleetwire/contract';
import { LEASES_BUCKET } from '@fleetwire/contract';
import type { Subscription as NatsSubscription } from '@nats-io/nats-core';
import { probeAcks } from './ack-probe.ts';
import type { Bucket } from './bucket.ts';
import { ensureBucket, openBucket } from './bucket.ts';
import type { BrokerClock } from './clock.ts';
import { MeasuredClock } from './clock.ts';
import type { Consumers } from './consumers.ts';
import { createConsumers } from './consumers.ts';
import type { CoreMessage, Subscription } from './core-message.ts';
import { coreMessage } from './core-message.ts';
import { Correlator } from './correlator.ts';
import { encodeHeaders } from './headers.ts';
import type { Link } from './link.ts';
import type { Stored, StoreOptions } from './publisher.ts';
import { store } from './publisher.ts';
import type { PullOptions, PullSession } from './pull-session.ts';
import { checkPull, PullLoop } from './pull-session.ts';
import { JetstreamApi, request } from './request.ts';
import type { StoredMessages } from './stored-messages.ts';
import { createStoredMessages } from './stored-messages.ts';
import type { Streams } from './streams.ts';
import { createStreams } from './streams.ts';

export interface Broker {
  readonly clock: BrokerClock;
  readonly serverVersion: string;
  /** Bytes of headers and payload together. */
  readonly maxPayload: number;
  connected(): boolean;
  /** 1 at first; grows with each reconnect. What was pulled under an older generation is in doubt. */
  generation(): number;
  /** Called after each reconnect. All `on...` return what takes the listener away. */
  onGeneration(listener: (generation: number) => void): () => void;
  /** Called when the connection is lost, after the outstanding publishes were rejected. */
  onDisconnect(listener: () => void): () => void;
  /** Called when the connection is closed for good, by `close` or `drain`. */
  onClosed(listener: (error?: Error) => void): () => void;

  /** Core NATS, at most once. Throws unavailable NOT_CONNECTED, invalid_argument PAYLOAD_TOO_LARGE. */
  publish(subject: string, payload: Uint8Array, headers?: Readonly<Record<string, string>>): void;
  /** Rejects unavailable: REQUEST_TIMEOUT, NO_RESPONDERS, CONNECTION_LOST, NOT_CONNECTED. */
  request(
    subject: string,
    payload: Uint8Array,
    timeoutMs: number,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Uint8Array>;
  /** Outlives reconnects; what is published meanwhile is missed. */
  subscribe(filter: string, handler: (message: CoreMessage) => void, o?: SubscribeOptions): Subscription;

  /**
   * Publishes to the stream that has `subject`. Resolves when the stream has it. Rejects resource_exhausted STREAM_FULL
   * (refused by a bound, nothing stored; rarely the server's disk: see `streams.isFull`), unavailable JETSTREAM_FULL
   * (disk, memory or account are full, nothing stored), unavailable PUBLISH_IN_DOUBT (time-out, connection lost:
   * repeat it with the same id), unavailable NOT_CONNECTED or NO_RESPONDERS or JETSTREAM_BUSY (nothing stored), permission_denied
   * PUBLISH_DENIED, invalid_argument PAYLOAD_TOO_LARGE, resource_exhausted TOO_MANY_REQUESTS (nothing sent).
   * When the connection is lost all that is outstanding is rejected at once, before `onDisconnect`.
   */
  store(subject: string, payload: Uint8Array, o: StoreOptions): Promise<Stored>;
  /** Pulls from a durable; needs no right but to ask for messages and to acknowledge them. */
  pull(stream: StreamName, consumer: string, o: PullOptions): PullSession;

  readonly streams: Streams;
  readonly consumers: Consumers;
  readonly messages: StoredMessages;
  /** Rejects failed_precondition: BUCKET_MISSING, BUCKET_DRIFT. */
  bucket(spec: BucketSpec): Promise<Bucket>;
  /** Bootstrap only: creates it when it is missing, never alters it. */
  ensureBucket(spec: BucketSpec, replicas: number): Promise<void>;
  /**
   * Bootstrap only: can an acknowledgement by one consumer of a work queue not delete what is for another? Found out by
   * trying, on a stream in memory that is gone afterwards. Rejects unavailable PROBE_UNANSWERED.
   */
  probeAcks(): Promise<boolean>;

  /** Waits for outstanding publishes, sends what is written, closes. End pull loops and handlers first. */
  drain(): Promise<void>;
  /** At once; outstanding publishes are rejected as in doubt. */
  close(): Promise<void>;
}

export interface SubscribeOptions {
  readonly queue?: string;
  /** The server does not let this user have it: nothing will come. */
  readonly onRefused?: (error: Error) => void;
}

export interface BrokerLimits {
  /** Publishes of `store` on their way at any time; more wait their turn, in order. */
  readonly maxInFlight: number;
  readonly maxWaiting: number;
  readonly publishTimeoutMs: number;
  readonly apiTimeoutMs: number;
  readonly drainMs: number;
}

/** Calls of the JetStream API and core requests at any time. */
const REQUESTS = { maxInFlight: 1024, maxWaiting: 4096 };

export function createBroker(link: Link, inboxPrefix: string, limits: BrokerLimits): Broker {
  const publishes = new Correlator(link, inboxPrefix, limits);
  const requests = new Correlator(link, inboxPrefix, REQUESTS);
  const api = new JetstreamApi(requests, limits.apiTimeoutMs);
  const messages = createStoredMessages(api);
  const pull = (stream: string, consumer: string, o: PullOptions) => {
    checkPull(o);
    return new PullLoop(link, inboxPrefix, stream, consumer, o);
  };
  const { publishTimeoutMs } = limits;
  const ports = { link, api, pull, messages, correlator: publishes, publishTimeoutMs };
  const bucket = (spec: BucketSpec) => openBucket(ports, spec);
  return {
    clock: new MeasuredClock(link, () => bucket(LEASES_BUCKET)),
    get serverVersion() {
      return link.serverVersion;
    },
    get maxPayload() {
      return link.maxPayload;
    },
    connected: () => link.up,
    generation: () => link.generation,
    onGeneration: (listener) => link.onUp(listener),
    onDisconnect: (listener) => link.onDown(listener),
    onClosed: (listener) => link.onClosed(listener),
    publish: (subject, payload, headers) => link.publish(subject, '', encodeHeaders(headers), payload),
    request: (subject, payload, timeoutMs, headers) =>
      request(requests, subject, encodeHeaders(headers), payload, timeoutMs),
    subscribe: (filter, handler, o) => subscribe(link, filter, handler, o ?? {}),
    store: (subject, payload, o) => store(publishes, subject, payload, o, publishTimeoutMs),
    pull,
    streams: createStreams(api),
    consumers: createConsumers(api),
    messages,
    bucket,
    ensureBucket: (spec, replicas) => ensureBucket(ports, spec, replicas),
    probeAcks: () => probeAcks(ports),
    async drain() {
      await Promise.all([publishes.idle(), requests.idle()]);
      await link.drain(limits.drainMs);
    },
    close: () => link.close(),
  };
}

function subscribe(
  link: Link,
  filter: string,
  handler: (message: CoreMessage) => void,
  o: SubscribeOptions,
): Subscription {
  const take = (message: Parameters<typeof coreMessage>[1], refused?: Error) => {
    if (refused === undefined) handler(coreMessage(link, message));
    else o.onRefused?.(refused);
  };
  const subscription: NatsSubscription = link.subscribe(filter, take, o.queue);
  return {
    stop: () => subscription.unsubscribe(),
    drain: () => subscription.drain(),
  };
}
