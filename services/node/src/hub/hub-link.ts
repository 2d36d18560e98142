/** The node's way to its hub: HELLO, a connection, heartbeats, another connection in time, and finding back after a loss. */

import type { Broker } from '@fleetwire/broker';
import type { HeartbeatReply } from '@fleetwire/gen/message';
import { asFleetwireError, backoffMs, pause } from '@fleetwire/kernel';
import { Connection, type ConnectionParts } from './connection.ts';
import { heartbeatOf, intervalMs } from './heartbeat.ts';
import type { Greeting } from './hello.ts';
import type { Welcome } from './identity-file.ts';
import { KeyRotation } from './key-rotation.ts';
import type { HubLinkParts } from './link-parts.ts';
import { type LinkState, LinkStatus } from './link-status.ts';
import { Pulse } from './pulse.ts';
import { isAway, isRefusal, isUnproven, refusalOfHeartbeat, refusalText } from './refused.ts';

const RETRY = { initialMs: 1000, maxMs: 30_000 } as const;
/** Failures in a row after which each further one is an error in the log. */
const LOUD_AFTER = 10;
/** How long before its end a JWT is renewed over gRPC when no heartbeat has brought another. */
const RENEW_BEFORE_MS = 10 * 60_000;
/** How long an end of the node waits for the hub to have heard of it. */
const GOODBYE_MS = 800;
/** How long a start waits for the machine's tools to be found. */
const FACTS_MS = 1000;

export class HubLink {
  readonly #parts: HubLinkParts;
  readonly #rotation: KeyRotation;
  readonly #pulse: Pulse;
  readonly #stopping = new AbortController();
  readonly #status = new LinkStatus();
  #connection: Connection | undefined;
  #loop: Promise<void> = Promise.resolve();
  #fresh = true;
  /** The servers have refused the events of the org, which is said once. */
  #deaf = false;

  constructor(parts: HubLinkParts) {
    this.#parts = parts;
    this.#rotation = new KeyRotation(parts);
    this.#pulse = new Pulse(() => parts.clock.monotonicMs());
  }

  get state(): LinkState {
    return this.#status.state;
  }

  get error(): string {
    return this.#status.error;
  }

  get contender(): string {
    return this.#status.contender;
  }

  /** 0: they have not spoken yet. */
  get protocol(): number {
    return this.#parts.door.welcome?.protocol ?? 0;
  }

  get draining(): boolean {
    return this.#parts.door.draining;
  }

  /** Undefined while there was none yet or it is given up; it may be reconnecting. */
  get broker(): Broker | undefined {
    return this.#connection?.broker;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#pulse.end();
    await this.#loop;
    this.#status.enter('DISCONNECTED');
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    await Promise.race([this.#parts.self.facts.look(), pause(FACTS_MS, signal)]);
    for (let attempt = 0; !signal.aborted; ) {
      this.#status.enter(attempt === 0 ? 'CONNECTING' : 'RECONNECTING');
      let waitMs = 0;
      try {
        const greeting = await this.#handshake();
        const connection = await Connection.open(this.#connectionParts(), this.#urls(greeting.welcome));
        attempt = 0;
        await this.#serve(connection, greeting);
      } catch (error) {
        waitMs = this.#failed(error, attempt);
      }
      this.#status.enter('RECONNECTING');
      await pause(Math.max(waitMs, backoffMs(RETRY, attempt++)), signal);
    }
  }

  /** Gives how long to wait at least. */
  #failed(thrown: unknown, attempt: number): number {
    const error = asFleetwireError(thrown);
    if (isRefusal(error)) {
      // A node that is taken again after this has a hub that may have forgotten its agents.
      this.#fresh = true;
      this.#status.refuse(refusalText(error, this.#parts.dir));
    } else this.#status.show(error);
    if (this.#stopping.signal.aborted) return 0;
    const level = attempt + 1 > LOUD_AFTER ? 'error' : 'warn';
    this.#parts.log[level]({ err: error }, 'no connection to the hub');
    return Math.min(error.retryAfterMs ?? 0, RETRY.maxMs);
  }

  /** The registry's word, or, while it is away, its last one if that still holds. */
  async #handshake(): Promise<Greeting> {
    const { door, log } = this.#parts;
    this.#status.enter('HANDSHAKING');
    try {
      const greeting = await door.hello();
      this.#status.taken();
      return greeting;
    } catch (error) {
      const remembered = door.welcome;
      if (!isAway(error) || this.#status.refused || remembered === undefined || !this.#stillGood(remembered))
        throw error;
      log.info('registry is away: connecting with the credentials of last time');
      return { welcome: remembered, moving: [], rosterDiffers: false };
    }
  }

  #stillGood(welcome: Welcome): boolean {
    return welcome.userJwt === '' || welcome.userJwtExpiresAtMs > this.#parts.clock.nowUs() / 1000;
  }

  #urls(welcome: Welcome): readonly string[] {
    return this.#parts.natsUrls.length > 0 ? this.#parts.natsUrls : welcome.natsUrls;
  }

  #connectionParts(): ConnectionParts {
    const { org, node, clock, timeoutMs, connect, door, log, receipts, event, pressure } = this.#parts;
    const deaf = () => {
      if (!this.#deaf)
        log.info('the hub does not let this node hear events: heartbeats tell, a little later');
      this.#deaf = true;
    };
    const nudged = (why: string) => {
      log.debug({ why }, 'the registry has news');
      this.#pulse.nudge();
    };
    const hearing = { receipts, event, nudged, pressure, deaf };
    const credentials = () => door.credentials();
    return { org, node, clock, timeoutMs, connect, hearing, credentials };
  }

  /** Resolves when the connection, or the one that took its place, is given up. */
  async #serve(connection: Connection, greeting: Greeting): Promise<void> {
    const { log } = this.#parts;
    const { partition } = greeting.welcome;
    try {
      this.#use(connection);
      this.#status.active();
      log.info({ partition, servers: connection.broker.serverVersion }, 'connected to the hub');
      this.#parts.active(connection.broker, greeting, this.#fresh);
      this.#fresh = false;
      await this.#beats();
    } finally {
      await this.#parts.lost();
      if (this.#stopping.signal.aborted) await this.#goodbye();
      const last = this.#connection;
      this.#connection = undefined;
      await last?.close();
    }
  }

  /** From now on it is the one; the key that it came by is the node's key. */
  #use(connection: Connection): void {
    connection.ended.addEventListener('abort', () => this.#pulse.nudge(), { once: true });
    connection.follow(
      () => this.#status.cutOff(),
      () => {
        this.#status.active();
        this.#parts.reconnected();
      },
    );
    this.#connection = connection;
    this.#rotation.inUse(connection.publicKey);
  }

  /** Heartbeats until the connection is given up. Rejects with what the registry refuses this node with. */
  async #beats(): Promise<void> {
    const { door, log, heartbeatMs } = this.#parts;
    for (;;) {
      const connection = this.#connection!;
      if (this.#stopping.signal.aborted || connection.ended.aborted) return;
      try {
        if (connection.broker.connected()) await this.#beatOnce(connection);
        else if (await this.#movedAway()) return;
      } catch (error) {
        if (isRefusal(error)) throw error;
        if (!connection.broker.connected() || isUnproven(error)) this.#status.show(asFleetwireError(error));
        log.debug({ err: asFleetwireError(error) }, 'no answer to a heartbeat');
        await this.#orStopped(this.#renewIfNeeded());
      }
      await this.#pulse.next(intervalMs(heartbeatMs, door.welcome));
    }
  }

  /** A stop does not wait for answers: undefined when it came first. */
  #orStopped<T>(work: Promise<T>): Promise<T | undefined> {
    return orAborted(work, this.#stopping.signal);
  }

  /** While NATS is away: new credentials for the next try, and perhaps other servers. */
  async #movedAway(): Promise<boolean> {
    const { door, natsUrls } = this.#parts;
    const before = door.welcome?.natsUrls.join();
    const { welcome } = await door.hello();
    return natsUrls.length === 0 && welcome.natsUrls.join() !== before;
  }

  async #beatOnce(connection: Connection): Promise<void> {
    const { denials, door, self } = this.#parts;
    void self.facts.look();
    // Connected by what was remembered: to the hub a heartbeat of a process that it does not know is one of a copy.
    if (!door.greeted && this.protocol >= 2) await this.#greetAgain(connection);
    const said = heartbeatOf(this.#parts);
    const reply = await this.#orStopped(connection.beat(said));
    if (reply === undefined) return;
    const refusal = reply.known ? undefined : refusalOfHeartbeat(reply.refused);
    if (refusal !== undefined) throw refusal;
    door.renewed(reply.userJwt, reply.known ? reply.draining : door.draining);
    await this.#parts.told(reply);
    if (!reply.known) return this.#greetAgain(connection);
    if (said.facts !== undefined) self.facts.told(said.facts);
    denials.told(said.denials);
    this.#parts.answered(reply);
    this.#heedContender(reply);
    this.#rotation.inUse(connection.publicKey);
    if (reply.rotateKey) await this.#orStopped(this.#rotation.rotate());
    if (connection.isDue(door.credentials())) await this.#takeOver(connection);
  }

  async #greetAgain(connection: Connection): Promise<void> {
    const greeting = await this.#orStopped(this.#parts.door.hello());
    if (greeting !== undefined) this.#parts.active(connection.broker, greeting, true);
  }

  #heedContender({ contender }: HeartbeatReply): void {
    if (contender !== '' && contender !== this.#status.contender)
      this.#parts.log.warn({ contender }, 'another machine tried to be this node, and was refused');
    this.#status.contender = contender;
  }

  /** A second connection, by the newest credentials, is at work before the first one goes. What fails is tried again. */
  async #takeOver(before: Connection): Promise<void> {
    const { door, log } = this.#parts;
    const welcome = door.welcome!;
    const opening = this.#openReady(welcome);
    try {
      const after = await this.#orStopped(opening);
      if (after === undefined) return void opening.then((late) => late.close()).catch(() => undefined);
      before.unfollow();
      this.#use(after);
      await this.#parts.changed(after.broker, welcome);
    } catch (error) {
      log.warn({ err: asFleetwireError(error) }, 'new credentials are not in use yet; trying again');
      return;
    }
    await this.#orStopped(before.drain());
    await before.close();
    log.info('new credentials are in use');
  }

  /** Connected, and the server knows what the connection listens to: it has answered something said after that. */
  async #openReady(welcome: Welcome): Promise<Connection> {
    const connection = await Connection.open(this.#connectionParts(), this.#urls(welcome));
    try {
      await connection.beat(heartbeatOf(this.#parts));
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  async #goodbye(): Promise<void> {
    const connection = this.#connection;
    const silent = this.protocol < 2 || !this.#parts.door.greeted;
    if (silent || connection?.broker.connected() !== true) return;
    await connection.beat(heartbeatOf(this.#parts, true), GOODBYE_MS).catch(() => undefined);
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

/** What becomes of `work`, or undefined once `signal` aborts: then what becomes of it is nobody's business. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  work.catch(() => undefined);
  const over = new AbortController();
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined), { once: true, signal: over.signal });
  });
  return Promise.race([work, aborted]).finally(() => over.abort());
}
