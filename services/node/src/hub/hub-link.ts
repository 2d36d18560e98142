/** The node's connection to its hub: HELLO, NATS, heartbeats, and finding back after a loss. */

import type { Broker, connectBroker } from '@fleetwire/broker';
import { filters, heartbeatSubject, receiptSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Heartbeat, HeartbeatReply } from '@fleetwire/gen/message';
import { nodeInboxPrefix } from '@fleetwire/identity';
import { asFleetwireError, backoffMs, FleetwireError, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { NodeIdentity, Welcome } from './identity-file.ts';
import type { NodeClock } from './node-clock.ts';
import { isRefusal, refusalText } from './refused.ts';
import type { RegistryDoor } from './registry-door.ts';

/** REFUSED: the registry does not take this node; it goes on asking, and stays so until it is taken. */
export type LinkState = 'DISCONNECTED' | 'CONNECTING' | 'HANDSHAKING' | 'ACTIVE' | 'RECONNECTING' | 'REFUSED';

export interface HubLinkParts {
  /** Of its files. */
  readonly dir: string;
  readonly identity: NodeIdentity;
  readonly door: RegistryDoor;
  readonly clock: NodeClock;
  readonly log: Logger;
  readonly version: string;
  readonly heartbeatMs: number;
  readonly timeoutMs: number;
  readonly connect: typeof connectBroker;
  /** Instead of what the registry says; empty: none. */
  readonly natsUrls: readonly string[];
  agents(): number;
  /** Receipts about what agents of this node have sent, as encoded batches. */
  receipts(publisher: string, encoded: Uint8Array): void;
  /** An event that org has told of this node's org. */
  event(subject: string, encoded: Uint8Array): void;
  /** A connection is there: `fresh` when the hub has to be told of the agents (again). */
  active(broker: Broker, welcome: Welcome, fresh: boolean): void;
  /** The registry has answered a heartbeat of this node. */
  answered(): void;
  /** What the registry says of the org with each heartbeat. */
  told(reply: HeartbeatReply): void;
  /** NATS has reconnected by itself. */
  reconnected(): void;
  /** The connection is given up; another one follows. */
  lost(): Promise<void>;
}

/** The service that says what happens in an org. */
const ORG = 'org';
const RETRY = { initialMs: 1000, maxMs: 30_000 } as const;
/** How long before its end a JWT is renewed over gRPC when no heartbeat has brought another. */
const RENEW_BEFORE_MS = 10 * 60_000;

export class HubLink {
  readonly #parts: HubLinkParts;
  readonly #stopping = new AbortController();
  #state: LinkState = 'DISCONNECTED';
  #broker: Broker | undefined;
  #error = '';
  #loop: Promise<void> = Promise.resolve();
  #fresh = true;
  #refused = false;
  /** The servers have refused the events of the org, which is said once. */
  #deaf = false;

  constructor(parts: HubLinkParts) {
    this.#parts = parts;
  }

  get state(): LinkState {
    return this.#refused && this.#state !== 'DISCONNECTED' ? 'REFUSED' : this.#state;
  }

  /** Why there is no connection; empty while there is. */
  get error(): string {
    return this.#error;
  }

  /** Undefined while there was none yet or it is given up; it may be reconnecting. */
  get broker(): Broker | undefined {
    return this.#broker;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    this.#state = 'DISCONNECTED';
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    for (let attempt = 0; !signal.aborted; ) {
      this.#state = attempt === 0 ? 'CONNECTING' : 'RECONNECTING';
      try {
        const welcome = await this.#handshake();
        const broker = await this.#connect(welcome);
        attempt = 0;
        await this.#serve(broker, welcome);
      } catch (error) {
        this.#failed(error);
        if (!signal.aborted)
          this.#parts.log.warn({ err: asFleetwireError(error) }, 'no connection to the hub');
      }
      this.#state = 'RECONNECTING';
      await pause(backoffMs(RETRY, attempt++), signal);
    }
  }

  /** A refusal stays the reason that is shown, also when the registry is away after it. */
  #failed(error: unknown): void {
    if (isRefusal(error)) {
      this.#refused = true;
      // A node that is taken again after this has a hub that may have forgotten its agents.
      this.#fresh = true;
      this.#error = refusalText(error, this.#parts.dir);
    } else if (!this.#refused) this.#error = asFleetwireError(error).message;
  }

  /** The registry's word, or, while it is away, its last one if that still holds. */
  async #handshake(): Promise<Welcome> {
    const { door, log } = this.#parts;
    this.#state = 'HANDSHAKING';
    try {
      const welcome = await door.hello();
      this.#refused = false;
      return welcome;
    } catch (error) {
      const remembered = door.welcome;
      const away = error instanceof FleetwireError && error.kind === 'unavailable';
      if (!away || this.#refused || remembered === undefined || !this.#stillGood(remembered)) throw error;
      log.info('registry is away: connecting with the credentials of last time');
      return remembered;
    }
  }

  #stillGood(welcome: Welcome): boolean {
    return welcome.userJwt === '' || welcome.userJwtExpiresAtMs > this.#parts.clock.nowUs() / 1000;
  }

  async #connect(welcome: Welcome): Promise<Broker> {
    const { identity, door, natsUrls, timeoutMs } = this.#parts;
    const seed = new TextEncoder().encode(identity.seed);
    const tenant = welcome.userJwt !== '';
    const urls = natsUrls.length > 0 ? natsUrls : welcome.natsUrls;
    return this.#parts.connect({
      urls: [...urls],
      name: `node-${identity.node}`,
      inboxPrefix: nodeInboxPrefix(identity.node),
      waitMs: timeoutMs,
      ...(tenant ? { credentials: () => ({ jwt: door.welcome?.userJwt ?? welcome.userJwt, seed }) } : {}),
    });
  }

  /** Resolves when the connection is given up. */
  async #serve(broker: Broker, welcome: Welcome): Promise<void> {
    const { log } = this.#parts;
    const ended = AbortSignal.any([this.#stopping.signal, this.#watch(broker)]);
    this.#broker = broker;
    try {
      this.#listen(broker);
      this.#state = 'ACTIVE';
      this.#error = '';
      log.info({ partition: welcome.partition, servers: broker.serverVersion }, 'connected to the hub');
      this.#parts.active(broker, welcome, this.#fresh);
      this.#fresh = false;
      await this.#beat(broker, ended);
    } finally {
      await this.#parts.lost();
      this.#broker = undefined;
      await broker.close();
    }
  }

  #listen(broker: Broker): void {
    const { org, node } = this.#parts.identity;
    broker.subscribe(filters.receiptsToNode(org, node), (message) => {
      // What this node says itself it has already heard, also while there is no hub.
      const publisher = receiptSubject.parse(message.subject)?.from;
      if (publisher !== undefined && publisher !== node) this.#parts.receipts(publisher, message.data);
    });
    const onRefused = (): void => {
      if (!this.#deaf)
        this.#parts.log.info('the hub does not let this node hear events: heartbeats tell, a little later');
      this.#deaf = true;
    };
    broker.subscribe(filters.eventsOf(org, ORG), (m) => this.#parts.event(m.subject, m.data), { onRefused });
  }

  /** Follows the connection; the signal aborts when it is closed for good. */
  #watch(broker: Broker): AbortSignal {
    const closed = new AbortController();
    broker.onClosed(() => closed.abort());
    broker.onDisconnect(() => {
      if (this.#state === 'ACTIVE') this.#state = 'RECONNECTING';
      if (!this.#refused) this.#error = 'the connection to NATS was lost';
    });
    broker.onGeneration(() => {
      this.#state = 'ACTIVE';
      this.#error = '';
      this.#parts.reconnected();
    });
    return closed.signal;
  }

  /** Heartbeats until the connection is given up. Rejects with what the registry refuses this node with. */
  async #beat(broker: Broker, ended: AbortSignal): Promise<void> {
    while (!ended.aborted) {
      try {
        if (broker.connected()) await this.#beatOnce(broker);
        else if (await this.#movedAway()) return;
      } catch (error) {
        if (isRefusal(error)) throw error;
        this.#parts.log.debug({ err: asFleetwireError(error) }, 'no answer to a heartbeat');
        await this.#renewIfNeeded();
      }
      await pause(this.#parts.heartbeatMs, ended);
    }
  }

  /** While NATS is away: new credentials for the next try, and perhaps other servers. */
  async #movedAway(): Promise<boolean> {
    const { door, natsUrls } = this.#parts;
    const before = door.welcome?.natsUrls.join();
    const { natsUrls: now } = await door.hello();
    return natsUrls.length === 0 && now.join() !== before;
  }

  async #beatOnce(broker: Broker): Promise<void> {
    const { identity, clock, door, timeoutMs, version } = this.#parts;
    const subject = heartbeatSubject.build({ org: identity.org, node: identity.node });
    const endsMs = door.welcome?.userJwtExpiresAtMs ?? 0;
    const credentialsLeftS = Math.max(0, Math.round((endsMs - clock.nowUs() / 1000) / 1000));
    const beat = { node: identity.node, version, agents: this.#parts.agents(), credentialsLeftS };
    const asked = clock.monotonicMs();
    const answer = await broker.request(subject, encode(Heartbeat, Heartbeat.fromPartial(beat)), timeoutMs);
    const reply = HeartbeatReply.decode(answer);
    clock.learn(reply.brokerTimeUs, clock.monotonicMs() - asked);
    broker.clock.set(clock.offsetUs);
    if (reply.userJwt !== '') door.renewed(reply.userJwt);
    this.#parts.told(reply);
    if (reply.known) return this.#parts.answered();
    const welcome = await door.hello();
    this.#parts.active(broker, welcome, true);
  }

  async #renewIfNeeded(): Promise<void> {
    const { door, clock, log } = this.#parts;
    const welcome = door.welcome;
    if (welcome === undefined || welcome.userJwt === '') return;
    if (welcome.userJwtExpiresAtMs - clock.nowUs() / 1000 > RENEW_BEFORE_MS) return;
    await door
      .hello()
      .catch((error) => log.warn({ err: asFleetwireError(error) }, 'credentials not renewed'));
  }
}
