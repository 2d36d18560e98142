/** Takes mail out of the inbox stream: a batch, one transaction, then the acknowledgements. */

import type { Broker, PulledMessage, PullSession } from '@fleetwire/broker';
import { inboxSubject, nodeConsumer } from '@fleetwire/contract';
import { Envelope, InboxEntry, InboxPack, type MoveMark } from '@fleetwire/gen/message';
import { asFleetwireError, backoffMs, type Clock, FleetwireError, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { AgentBook } from '../agents/agent-book.ts';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import { type LooseEntries, looseEntries, looseHeader } from '../domain/loose-mail.ts';
import { returned } from '../domain/receipt.ts';
import type { Custody } from '../mail/custody.ts';
import type { Arrivals } from '../moving/arrivals.ts';
import type { Departures } from '../moving/departures.ts';
import type { Turns } from '../store/turns.ts';
import { isAway } from './refused.ts';

export interface IntakeParts {
  readonly org: string;
  readonly node: string;
  readonly book: AgentBook;
  readonly custody: Custody;
  readonly arrivals: Arrivals;
  readonly departures: Departures;
  readonly turns: Turns;
  readonly clock: Clock;
  readonly log: Logger;
  readonly pullBatch: number;
  /** How long new mail is held up for the full queue of an agent that is taking it up; 0: not at all. */
  readonly queueWaitMs: number;
  /** Makes the consumer anew, so that all that was not acknowledged comes again, in order. */
  openInbox(): Promise<void>;
}

interface Pack {
  readonly message: PulledMessage;
  /** Parcels that are not taken in yet; at 0 the message is acknowledged. */
  left: number;
}

/** One message of a pack. */
interface Parcel {
  readonly pack: Pack;
  readonly entry: InboxEntry;
  /** It could not be decoded; `entry` is what could be read of it. */
  readonly broken: boolean;
  /** Instead of mail: a point in that of a moving agent. It stays behind all that came before it. */
  readonly mark?: MoveMark;
}

interface Fitted {
  readonly waiting: Parcel[];
  /** Agents whose queue is full, with how many of the parcels wait for them. */
  readonly full: ReadonlyMap<HostedAgent, number>;
}

const RETRY = { initialMs: 250, maxMs: 10_000 } as const;
const ASK_AGAIN_MS = 1000;
/** Added to the consumer's ack_wait when the registry cannot make it anew. */
const MARGIN_MS = 2000;
/** Between two looks at a full queue. */
const LOOK_MS = 2;
/** Between two ways of reading the inbox, so that a connection that flaps costs little. */
const REST_MS = 50;
const PULL_BYTES = 4 * 1024 * 1024;
/** Times `queueWaitMs` that one batch may wait while it makes progress: later ones wait behind it. */
const WAITS_MAX = 2;
/** How long an agent that did not make room in time is not waited for again. */
const SLOW_MS = 5000;

export class Intake {
  readonly #parts: IntakeParts;
  readonly #broker: Broker;
  readonly #shard: number;
  readonly #stopping = new AbortController();
  #doubt = new AbortController();
  #session: PullSession | undefined;
  #loop: Promise<void> = Promise.resolve();
  readonly #offGeneration: () => void;

  constructor(parts: IntakeParts, broker: Broker, shard: number) {
    this.#parts = parts;
    this.#broker = broker;
    this.#shard = shard;
    this.#offGeneration = broker.onGeneration(() => this.#doubtful('reconnected'));
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#offGeneration();
    this.#stopping.abort();
    this.#doubtful('stopping');
    await this.#loop;
  }

  /** What was pulled and not yet committed may come again: nothing of it may be taken in after something newer. */
  #doubtful(why: string): void {
    if (why !== 'stopping') this.#parts.log.info({ why }, 'inbox is read anew');
    this.#doubt.abort();
    void this.#session?.stop();
  }

  async #run(): Promise<void> {
    for (let attempt = 0; !this.#stopping.signal.aborted; ) {
      try {
        this.#doubt = new AbortController();
        const fresh = await this.#open(this.#doubt.signal);
        if (this.#doubt.signal.aborted) continue;
        attempt = 0;
        await this.#pull(this.#doubt.signal, fresh);
        await pause(REST_MS, this.#stopping.signal);
      } catch (error) {
        this.#parts.log.warn({ err: asFleetwireError(error) }, 'inbox cannot be read; trying again');
        await pause(backoffMs(RETRY, attempt++), this.#stopping.signal);
      }
    }
  }

  /** True when the consumer was made anew; false when its mail comes again by itself, the registry being away. */
  async #open(doubt: AbortSignal): Promise<boolean> {
    const { ack_wait } = nodeConsumer(this.#shard, this.#parts.org, this.#parts.node);
    const until = this.#parts.clock.monotonicMs() + ack_wait / 1e6 + MARGIN_MS;
    while (this.#parts.clock.monotonicMs() < until && !doubt.aborted) {
      try {
        await this.#parts.openInbox();
        return true;
      } catch (error) {
        if (!isAway(error)) throw error;
        this.#parts.log.info({ why: error.message }, 'inbox cannot be opened anew; asking again for a while');
        await pause(ASK_AGAIN_MS, doubt);
      }
    }
    return false;
  }

  async #pull(doubt: AbortSignal, fresh: boolean): Promise<void> {
    const { durable_name, stream } = nodeConsumer(this.#shard, this.#parts.org, this.#parts.node);
    const session = this.#broker.pull(stream, durable_name, {
      batch: this.#parts.pullBatch,
      maxBytes: PULL_BYTES,
      firstDelivery: fresh ? 1 : undefined,
      onDoubt: (why) => this.#doubtful(why),
    });
    this.#session = session;
    try {
      for await (const batch of session) {
        if (doubt.aborted) break;
        await this.#take(batch, doubt);
      }
    } finally {
      this.#session = undefined;
      await session.stop();
    }
  }

  /**
   * What has room is taken in at once. What has to wait for room, and whatever comes after it for the same recipient,
   * follows in later transactions, and holds up no other recipient's mail of this batch.
   */
  async #take(messages: readonly PulledMessage[], doubt: AbortSignal): Promise<void> {
    const { clock, queueWaitMs, turns } = this.#parts;
    let packs = messages.map((message): Pack => ({ message, left: 0 }));
    let waiting = packs.flatMap((pack) => this.#parcels(pack));
    const last = clock.monotonicMs() + queueWaitMs * WAITS_MAX;
    let until = clock.monotonicMs() + queueWaitMs;
    for (;;) {
      const fitted = await turns.run(() => this.#takeFitting(waiting, until));
      for (const { message, left } of packs) if (left === 0) message.ack();
      if (fitted.waiting.length === 0) return;
      packs = packs.filter(({ left }) => left > 0);
      if (fitted.waiting.length < waiting.length) until = Math.min(clock.monotonicMs() + queueWaitMs, last);
      waiting = fitted.waiting;
      await this.#roomFor(fitted.full, until, doubt);
      // The rest comes again: refusing it now for want of room would return mail that only has to wait.
      if (doubt.aborted) return;
    }
  }

  /** Inside a turn. Gives those that have to wait, in order, and for whom. */
  #takeFitting(parcels: readonly Parcel[], until: number): Fitted {
    const waiting: Parcel[] = [];
    const full = new Map<HostedAgent, number>();
    const behind = new Set<string>();
    for (const parcel of parcels) {
      const { recipients } = parcel.entry;
      const waits = this.#noteFull(parcel, until, full);
      if (waits || recipients.some((id) => behind.has(id))) {
        waiting.push(parcel);
        for (const id of recipients) behind.add(id);
        continue;
      }
      parcel.pack.left--;
      const { message } = parcel.pack;
      if (parcel.mark !== undefined) this.#takeMark(parcel.mark);
      else if (parcel.broken) this.#returnUnreadable(parcel.entry, message, 'its entry cannot be decoded');
      else this.#takeEntry(parcel.entry, message);
    }
    return { waiting, full };
  }

  /**
   * Counts the parcel for each of its recipients whose queue is full for a moment; true when there is one. They are given
   * that moment, so that a burst is not returned; one that was given it in vain is not again for a while.
   */
  #noteFull({ entry, broken }: Parcel, until: number, full: Map<HostedAgent, number>): boolean {
    if (broken) return false;
    let found = false;
    for (const id of entry.recipients) {
      const agent = this.#parts.book.byId(id) ?? this.#parts.book.leaving(id);
      if (agent === undefined || entry.movedEpoch !== 0 || agent.moving.arriving > 0) continue;
      if (agent.queue.hasRoom(entry.envelope.length)) continue;
      if (this.#mayMakeRoom(agent, until)) {
        full.set(agent, (full.get(agent) ?? 0) + 1);
        found = true;
        continue;
      }
      const nowMs = this.#parts.clock.monotonicMs();
      if (agent.taker !== undefined && nowMs >= agent.slowUntilMs) agent.slowUntilMs = nowMs + SLOW_MS;
    }
    return found;
  }

  /** Resolves, after a moment at least, when one of the full queues has room for its share or will not have it in time. */
  async #roomFor(full: ReadonlyMap<HostedAgent, number>, until: number, doubt: AbortSignal): Promise<void> {
    const settled = ([agent, count]: [HostedAgent, number]) =>
      agent.queue.hasRoomFor(count) || !this.#mayMakeRoom(agent, until);
    do await pause(LOOK_MS, doubt);
    while (!doubt.aborted && ![...full].some(settled));
  }

  /** Of an agent without room: is it worth a wait? */
  #mayMakeRoom(agent: HostedAgent, until: number): boolean {
    if (this.#parts.queueWaitMs === 0) return false;
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs < agent.expectedUntilMs) return true;
    return agent.taker !== undefined && nowMs >= agent.slowUntilMs && nowMs < until;
  }

  #parcels(pack: Pack): Parcel[] {
    const { sound, broken, mark } = this.#decode(pack.message);
    if (mark !== undefined) {
      pack.left = 1;
      return [{ pack, entry: InboxEntry.fromPartial({ recipients: [mark.agent] }), broken: true, mark }];
    }
    pack.left = sound.length + broken.length;
    return [
      ...sound.map((entry) => ({ pack, entry, broken: false })),
      ...broken.map((entry) => ({ pack, entry, broken: true })),
    ];
  }

  #takeMark(mark: MoveMark): void {
    const { book, arrivals, departures } = this.#parts;
    if (!mark.end) arrivals.announced(mark);
    // The end of its way to here, or of its time here: the epochs of moves tell.
    else if ((book.byId(mark.agent)?.moving.arriving ?? 0) > 0) arrivals.complete(mark);
    else departures.marked(mark);
  }

  #takeEntry(entry: InboxEntry, message: PulledMessage): void {
    const { book, custody, arrivals, departures } = this.#parts;
    const arrival = arrivalOf(entry);
    const envelope = this.#envelope(entry, message);
    if (envelope === undefined) return;
    if (envelope.fromNode === this.#parts.node)
      for (const id of entry.recipients) book.byId(id)?.fence.came(envelope.fromAgent, envelope.id);
    if (entry.movedEpoch !== 0) {
      const agent = book.byId(inboxSubject.parse(message.subject)?.agent ?? '');
      if (agent !== undefined || entry.recipients.length === 0) {
        if (agent !== undefined) arrivals.take(agent, entry, envelope);
        return;
      }
    }
    for (const recipient of entry.recipients) {
      const leaving = book.leaving(recipient);
      const agent = book.byId(recipient) ?? leaving;
      if (leaving !== undefined) departures.came(leaving);
      if (agent !== undefined) custody.hold(agent, envelope, entry.envelope, arrival);
      else {
        const outcome = returned('AGENT_NOT_HERE', 'the agent does not live on this node any more');
        custody.refuseStranger({ id: recipient, name: '' }, envelope, arrival, outcome);
      }
    }
  }

  #decode(message: PulledMessage): LooseEntries & { readonly mark?: MoveMark } {
    try {
      const { entries, mark } = InboxPack.decode(message.data);
      const subject = inboxSubject.parse(message.subject);
      const own = mark !== undefined && mark.agent === subject?.agent;
      return own ? { sound: [], broken: [], mark } : { sound: entries, broken: [] };
    } catch (cause) {
      this.#poison(`pack ${message.sequence}`, cause);
      return looseEntries(message.data);
    }
  }

  #envelope(entry: InboxEntry, message: PulledMessage): Envelope | undefined {
    try {
      return Envelope.decode(entry.envelope);
    } catch (cause) {
      this.#poison(`ingress ${entry.ingressSeq}`, cause);
      this.#returnUnreadable(entry, message, asFleetwireError(cause).message);
      return undefined;
    }
  }

  /** Its sender hears of it where it can still be read who that is. */
  #returnUnreadable(entry: InboxEntry, message: PulledMessage, why: string): void {
    const { book, custody, log } = this.#parts;
    const envelope = looseHeader(entry.envelope);
    const inSubject = inboxSubject.parse(message.subject)?.agent;
    const recipients = entry.recipients.length > 0 ? entry.recipients : inSubject ? [inSubject] : [];
    if (envelope === undefined || recipients.length === 0) {
      log.error({ sequence: message.sequence }, 'unreadable mail ends untold: nobody can say whose it is');
      return;
    }
    const outcome = returned('MESSAGE_UNREADABLE', `the recipient's node cannot decode it: ${why}`);
    for (const id of recipients)
      custody.refuseStranger({ id, name: book.byId(id)?.name ?? '' }, envelope, arrivalOf(entry), outcome);
  }

  /** Routers have decoded all of it: this is a fault of theirs, and nothing here could ever read it. */
  #poison(what: string, cause: unknown): void {
    const error = new FleetwireError('data_loss', 'MESSAGE_UNREADABLE', `${what} cannot be decoded`, {
      cause,
    });
    this.#parts.log.error({ err: error }, 'unreadable mail is not taken in');
  }
}

function arrivalOf({ ingressAtUs, routedAtUs, router, deadlineUs }: InboxEntry) {
  return { ingressAtUs, routedAtUs, router, deadlineUs, history: true };
}
