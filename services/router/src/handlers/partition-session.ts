/**
 * Routes one partition under one epoch: feeds its flow from the durable and carries out what the flow decides. A
 * session never recovers: at the first doubt it halts, and the worker takes the partition over anew.
 */

import type { Broker, PulledMessage, PullSession } from '@fleetwire/broker';
import type { StreamName } from '@fleetwire/contract';
import { ERROR_TABLE, ingressSubject, LIMITS } from '@fleetwire/contract';
import type { BackoffPolicy } from '@fleetwire/kernel';
import { asFleetwireError, backoffMs, causeChain, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import { TOO_MUCH_EVERY_MS } from '../domain/house-rules.ts';
import { IngressShare } from '../domain/ingress-share.ts';
import type { Pace, PartitionFlow } from '../domain/partition-flow.ts';
import type { Publication } from '../domain/publication.ts';
import type { NameLookup } from './name-lookup.ts';
import type { PeerFrames } from './peer-frames.ts';

export interface SessionLimits {
  readonly pullMessages: number;
  readonly entriesMax: number;
  readonly bytesMax: number;
  /** Stays below what the broker keeps in flight, so that nothing waits there after a halt. */
  readonly publishesMax: number;
  readonly retry: BackoffPolicy;
  readonly poisonTries: number;
  readonly poisonWaitMs: number;
  /** So far behind, whoever takes more than its share is told to hold back. */
  readonly lagHighMs: number;
}

export interface SessionOptions {
  readonly broker: Pick<Broker, 'clock' | 'pull' | 'store'> & {
    readonly streams: Pick<Broker['streams'], 'isFull'>;
  };
  readonly durable: string;
  readonly flow: PartitionFlow<PulledMessage>;
  readonly lookup: Pick<NameLookup, 'find'>;
  /** What tells nodes to hold back. */
  readonly frames?: PeerFrames | undefined;
  /** False as soon as another router might hold the partition. */
  readonly certain: () => boolean;
  readonly limits: SessionLimits;
  readonly log: Logger;
}

/** Bytes of one pull; above the largest message that a server may hold. */
const PULL_BYTES = 4 * 1024 * 1024;
/** Who floods is asked to hold back for as long as the partition is behind, but not for longer. */
const UNFAIR_RETRY_MS_MAX = 5000;
/** So long it decides at a stretch: leases are renewed and answers read in between, however many each message is for. */
const STRETCH_MS = 20;
/**
 * Bytes that one message to many may be stored in beside its entry for each node, because of mail that waits for its
 * recipients: beyond, it waits. Else a few thousand small messages and a large one to everybody would fill the inbox stream.
 */
const COPIES_MAX = 4 * LIMITS.bodyBytes;
const INGRESS: StreamName = 'INGRESS';
const INBOX: StreamName = 'INBOX';

export class PartitionSession {
  readonly #o: SessionOptions;
  readonly #share: IngressShare;
  readonly #halting = new AbortController();
  #why: string | undefined;
  #draining = false;
  #pull: PullSession | undefined;
  #inFlight = 0;
  #delivered = 0;
  #ackPlanned = false;
  readonly #pace: Pace = {
    mayGoOn: () => !this.#late() && this.#hasRoomForMore(),
    copiesMax: COPIES_MAX,
  };
  /** When the stretch is over that it decides in. */
  #stretchEndMs = 0;
  /** Who waits for room or for idleness: the feeding loop and a drain. */
  #waiters: (() => void)[] = [];

  constructor(options: SessionOptions) {
    this.#o = options;
    this.#share = new IngressShare(options.limits);
  }

  /** Why the session halted; undefined while it is sound. */
  get doubt(): string | undefined {
    return this.#why;
  }

  /** How far behind it is, milliseconds: 0 while nothing waits. */
  get lagMs(): number {
    return this.#o.flow.idle ? 0 : this.#share.lagMs;
  }

  /** Runs until it has halted or drained; never rejects. */
  async run(): Promise<void> {
    try {
      await this.#feed();
      if (!this.#draining) this.halt('the pull ended');
      while (!this.#o.flow.idle && this.#why === undefined) await this.#woken();
      this.halt('drained');
    } catch (error) {
      this.halt(causeChain(error));
    }
  }

  async #feed(): Promise<void> {
    this.#pull = this.#o.broker.pull(INGRESS, this.#o.durable, {
      batch: this.#o.limits.pullMessages,
      maxBytes: PULL_BYTES,
      firstDelivery: 1,
      onDoubt: (why) => this.halt(why),
    });
    for await (const batch of this.#pull) {
      this.#stretchEndMs = performance.now() + STRETCH_MS;
      for (const message of batch) {
        await this.#takeWhole(message);
        if (this.#why !== undefined) return;
        this.#watchShare(message);
        if (!this.#hasRoom() || this.#late()) await this.#rest(() => this.#hasRoom());
      }
      this.#pump();
      if (this.#why !== undefined) return;
    }
  }

  /** One message may be to thousands, many thousand times: what has come of it is published before there is more. */
  async #takeWhole(message: PulledMessage): Promise<void> {
    for (;;) {
      const taken = this.#take(message) ?? (await this.#takePoison(message));
      if (taken || this.#why !== undefined) return;
      await this.#rest(() => this.#hasRoomForMore());
    }
  }

  /** Publishes what there is, and lets everything else have its turn, until there is room. */
  async #rest(room: () => boolean): Promise<void> {
    this.#pump();
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (!room() && this.#why === undefined) await this.#woken();
    this.#stretchEndMs = performance.now() + STRETCH_MS;
  }

  #late(): boolean {
    return performance.now() > this.#stretchEndMs;
  }

  #watchShare({ subject, data, storedAtUs }: PulledMessage): void {
    const nowUs = this.#o.broker.clock.nowUs();
    const greedy = this.#share.took({ subject, bytes: data.length, storedAtUs }, nowUs);
    for (const each of greedy) {
      const from = ingressSubject.parse(each);
      if (from === undefined) continue;
      const retryAfterMs = Math.min(this.#share.lagMs, UNFAIR_RETRY_MS_MAX);
      const busy = { org: from.org, node: from.node, reason: 'unfair_share', retryAfterMs } as const;
      this.#o.frames?.note(busy, TOO_MUCH_EVERY_MS, nowUs / 1000);
    }
  }

  /** Nothing is published, acknowledged or pulled from this moment on. */
  halt(why: string): void {
    if (this.#why !== undefined) return;
    this.#why = why;
    this.#halting.abort();
    this.#wake();
    void this.#pull?.stop();
  }

  /** Pulls no more; `run` then finishes what is in memory, for `ms` at most. */
  drain(ms: number): void {
    this.#draining = true;
    const late = setTimeout(() => this.halt('it could not be drained in time'), ms);
    this.#halting.signal.addEventListener('abort', () => clearTimeout(late), { once: true });
    void this.#pull?.stop();
  }

  /** False when there is more of it; undefined when handling it threw, and it may be tried again. */
  #take(message: PulledMessage, fault?: 'dead_letter'): boolean | undefined {
    const { flow, broker } = this.#o;
    try {
      this.#checkDelivery(message);
      // An acknowledgement may be lost without a sign, and where nothing follows it, the broker would ask for ever.
      if (flow.isDone(message.sequence) && this.#sound()) message.ack();
      return flow.accept(message, broker.clock.nowUs(), fault, this.#pace);
    } catch (error) {
      this.#o.log.warn({ sequence: message.sequence, error: causeChain(error) }, 'handling ingress failed');
      return undefined;
    }
  }

  /** What makes our code throw holds up the partition for a second at most, then it is a dead letter. */
  async #takePoison(message: PulledMessage): Promise<boolean> {
    this.#pump();
    for (let tries = 1; tries < this.#o.limits.poisonTries; tries++) {
      await pause(this.#o.limits.poisonWaitMs, this.#halting.signal);
      const taken = this.#why === undefined ? this.#take(message) : false;
      if (taken !== undefined) return taken;
    }
    const buried = this.#take(message, 'dead_letter');
    if (buried === undefined) this.halt('a poison message could not be dead-lettered');
    return buried ?? false;
  }

  /** A hole in the deliveries is a message that was lost on its way and would come again behind newer ones. */
  #checkDelivery(message: PulledMessage): void {
    if (message.deliverySequence <= this.#delivered) return;
    if (message.deliverySequence !== this.#delivered + 1) this.halt('a delivery was lost');
    this.#delivered = message.deliverySequence;
  }

  #hasRoom(): boolean {
    const { flow, limits } = this.#o;
    return flow.parts < limits.entriesMax && flow.bytes < limits.bytesMax;
  }

  /** In the middle of a message: what has come of it and others will be settled, but it itself only as a whole. */
  #hasRoomForMore(): boolean {
    const { flow, limits } = this.#o;
    return flow.copies <= COPIES_MAX && (flow.spread === 0 || flow.bytes < limits.bytesMax);
  }

  /** Publishes what is ready, as far as there is room in flight. */
  #pump(): void {
    const { flow, lookup, broker, limits } = this.#o;
    if (this.#why !== undefined) return;
    for (const question of flow.takeQuestions()) {
      lookup.find(question, (known) => {
        if (this.#why !== undefined) return;
        flow.answer(question, known, broker.clock.nowUs());
        this.#pump();
      });
    }
    while (this.#inFlight < limits.publishesMax && this.#sound()) {
      const publication = this.#next();
      if (publication === undefined) break;
      this.#inFlight += publication.stores.length;
      void this.#publish(publication);
    }
    this.#o.frames?.flush();
    this.#planAck();
  }

  #next(): Publication | undefined {
    try {
      return this.#o.flow.next(this.#o.broker.clock.nowUs());
    } catch (error) {
      this.halt(`what was to be told could not be encoded: ${causeChain(error)}`);
      return undefined;
    }
  }

  #sound(): boolean {
    if (this.#why === undefined && !this.#o.certain()) this.halt('the lease is no longer certain');
    return this.#why === undefined;
  }

  /** The same pack with the same ids, until it is known what was stored. */
  async #publish(publication: Publication): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const fault = await this.#store(publication);
      if (this.#why !== undefined) break;
      const bound = fault === undefined ? false : await this.#isBound(publication, fault);
      // Asking took a moment, in which the session may have halted.
      if (this.#why !== undefined || this.#settled(publication, fault, bound, attempt)) break;
      await pause(backoffMs(this.#o.limits.retry, attempt), this.#halting.signal);
      if (!this.#sound()) break;
    }
    this.#inFlight -= publication.stores.length;
    this.#pump();
  }

  async #store({ stores }: Publication): Promise<unknown> {
    try {
      if (stores.length === 1) await this.#storeOne(stores[0]!);
      else await Promise.all(stores.map((store) => this.#storeOne(store)));
      return undefined;
    } catch (error) {
      return error;
    }
  }

  #storeOne({ subject, payload, msgId, traceparent }: Publication['stores'][number]) {
    const options = traceparent === '' ? { msgId } : { msgId, traceparent };
    return this.#o.broker.store(subject, payload, options);
  }

  /** Did a bound of the inbox refuse the mail, or only a server that cannot write? In doubt it is no bound. */
  async #isBound({ pack, stores }: Publication, fault: unknown): Promise<boolean> {
    if (pack.items[0]!.kind !== 'inbox' || asFleetwireError(fault).reason !== 'STREAM_FULL') return false;
    const { subject, payload } = stores[0]!;
    return this.#o.broker.streams.isFull(INBOX, subject, payload.length).catch(() => false);
  }

  /** True when it is known what became of it, and the lane may go on; `bound`: a bound of the inbox refused it. */
  #settled(publication: Publication, fault: unknown, bound: boolean, attempt: number): boolean {
    const { flow, broker, limits, log } = this.#o;
    if (fault === undefined) {
      flow.stored(publication);
      return true;
    }
    const error = asFleetwireError(fault);
    const isMail = publication.pack.items[0]!.kind === 'inbox';
    if (bound) {
      flow.refused(publication, broker.clock.nowUs());
      return true;
    }
    if (attempt % 10 === 0) log.warn({ lane: publication.pack.lane, error: causeChain(error) }, 'in doubt');
    const ours = error.kind === 'internal' || error.kind === 'invalid_argument';
    if (!isMail || !ours || ERROR_TABLE[error.kind].retryable || attempt + 1 < limits.poisonTries)
      return false;
    flow.failed(publication, causeChain(error), broker.clock.nowUs());
    return true;
  }

  /** One ack for all that is settled in this turn of the event loop. */
  #planAck(): void {
    if (this.#ackPlanned) return;
    this.#ackPlanned = true;
    setImmediate(() => {
      this.#ackPlanned = false;
      if (!this.#sound()) return;
      this.#o.flow.advance()?.ack();
      this.#wake();
    });
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
  }
}
