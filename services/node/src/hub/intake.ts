/** Takes mail out of the inbox stream: a batch, one transaction, then the acknowledgements. No agent holds others up. */

import type { Broker, PulledMessage, PullSession } from '@fleetwire/broker';
import { inboxSubject, nodeConsumer } from '@fleetwire/contract';
import { Envelope, type InboxEntry, InboxPack, type MoveMark } from '@fleetwire/gen/message';
import { asFleetwireError, backoffMs, type Clock, FleetwireError, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { AgentBook } from '../agents/agent-book.ts';
import { type LooseEntries, looseEntries, looseHeader } from '../domain/loose-mail.ts';
import { returned } from '../domain/receipt.ts';
import type { Custody } from '../mail/custody.ts';
import type { Pressure } from '../mail/pressure.ts';
import type { Arrivals } from '../moving/arrivals.ts';
import type { Departures } from '../moving/departures.ts';
import type { Turns } from '../store/turns.ts';
import { Overflow, type OverflowParts, type Pack, type Parcel } from './overflow.ts';
import { isAway } from './refused.ts';

export interface IntakeParts {
  readonly org: string;
  readonly node: string;
  readonly book: AgentBook;
  readonly custody: Custody;
  readonly pressure: Pick<Pressure, 'heard'>;
  readonly arrivals: Arrivals;
  readonly departures: Departures;
  readonly turns: Turns;
  readonly clock: Clock;
  readonly log: Logger;
  readonly pullBatch: number;
  /** How much waits, and for how long, for room in the full queue of an agent that is taking its mail up. */
  readonly overflow: Pick<OverflowParts, 'waitMs' | 'messages' | 'bytes' | 'packs'>;
  /** Makes the consumer anew, so that all that was not acknowledged comes again, in order. */
  openInbox(): Promise<void>;
}

const RETRY = { initialMs: 250, maxMs: 10_000 } as const;
const ASK_AGAIN_MS = 1000;
/** Added to the consumer's ack_wait when the registry cannot make it anew. */
const MARGIN_MS = 2000;
/** Between two ways of reading the inbox, so that a connection that flaps costs little. */
const REST_MS = 50;
const PULL_BYTES = 4 * 1024 * 1024;
export class Intake {
  readonly #parts: IntakeParts;
  readonly #broker: Broker;
  readonly #shard: number;
  readonly #overflow: Overflow;
  readonly #stopping = new AbortController();
  #doubt = new AbortController();
  #session: PullSession | undefined;
  #loop: Promise<void> = Promise.resolve();
  readonly #offGeneration: () => void;

  constructor(parts: IntakeParts, broker: Broker, shard: number) {
    this.#parts = parts;
    this.#broker = broker;
    this.#shard = shard;
    const { book, turns, clock, overflow } = parts;
    const settled = (pack: Pack) => this.#settled(pack);
    this.#overflow = new Overflow({ book, turns, clock, ...overflow, settled });
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
    this.#overflow.clear();
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
   * What has room is taken in at once, for each recipient by itself. What has to wait for room, and whatever comes after it for
   * the same recipient, follows in later transactions.
   */
  async #take(messages: readonly PulledMessage[], doubt: AbortSignal): Promise<void> {
    await this.#parts.turns.run(() => {
      // All of it comes again: what waits for room of it would only be in the way.
      if (doubt.aborted) return;
      for (const message of messages) this.#takePack({ message, left: 1, waiting: 0 });
    });
  }

  /** Inside a turn. */
  #takePack(pack: Pack): void {
    const { sound, broken, mark } = this.#decode(pack.message);
    if (mark !== undefined) this.#offer(pack, mark.agent, undefined, () => this.#takeMark(mark));
    for (const entry of sound) this.#takeEntry(entry, pack);
    for (const entry of broken) this.#returnUnreadable(entry, pack.message, 'its entry cannot be decoded');
    this.#settled(pack);
  }

  /** Inside a turn: once all of it is, it is acknowledged after the commit. */
  #settled(pack: Pack): void {
    if (--pack.left === 0) this.#parts.turns.after(() => pack.message.ack());
  }

  /** Takes it in at once, or has it wait behind what came before it for the same agent. */
  #offer(pack: Pack, id: string, needs: number | undefined, take: () => void): void {
    const { book } = this.#parts;
    const agent = book.byId(id) ?? book.leaving(id);
    if (this.#overflow.mustWait(id, agent, needs)) {
      const parcel: Parcel = { pack, needs, take };
      pack.left++;
      if (this.#overflow.add(id, agent, parcel)) return;
      pack.left--;
    }
    take();
  }

  #takeMark(mark: MoveMark): void {
    const { book, arrivals, departures } = this.#parts;
    if (!mark.end) arrivals.announced(mark);
    // The end of its way to here, or of its time here: the epochs of moves tell.
    else if ((book.byId(mark.agent)?.moving.arriving ?? 0) > 0) arrivals.complete(mark);
    else departures.marked(mark);
  }

  #takeEntry(entry: InboxEntry, pack: Pack): void {
    const { message } = pack;
    const envelope = this.#envelope(entry, message);
    if (envelope === undefined) return;
    if (entry.movedEpoch !== 0) {
      const id = inboxSubject.parse(message.subject)?.agent ?? '';
      if (this.#parts.book.byId(id) !== undefined) {
        this.#offer(pack, id, undefined, () => this.#takeMoved(id, entry, envelope));
        return;
      }
      if (entry.recipients.length === 0) return;
    }
    for (const id of entry.recipients) {
      const { book, pressure } = this.#parts;
      const agent = book.byId(id);
      if (agent !== undefined) pressure.heard(agent, envelope.fromNode);
      this.#offer(pack, id, entry.envelope.length, () => this.#hold(id, entry, envelope));
    }
  }

  /** The agent may have gone since the entry came, if that had to wait. */
  #takeMoved(id: string, entry: InboxEntry, envelope: Envelope): void {
    const { book, arrivals } = this.#parts;
    const agent = book.byId(id);
    if (agent !== undefined) arrivals.take(agent, entry, envelope);
    else for (const recipient of entry.recipients) this.#hold(recipient, entry, envelope);
  }

  #hold(recipient: string, entry: InboxEntry, envelope: Envelope): void {
    const { book, custody, departures, node } = this.#parts;
    const arrival = arrivalOf(entry);
    const own = book.byId(recipient);
    if (envelope.fromNode === node) own?.fence.came(envelope.fromAgent, envelope.id);
    const leaving = book.leaving(recipient);
    const agent = own ?? leaving;
    if (leaving !== undefined) departures.came(leaving);
    if (agent !== undefined) {
      custody.hold(agent, envelope, entry.envelope, arrival);
      return;
    }
    const outcome = returned('AGENT_NOT_HERE', 'the agent does not live on this node any more');
    custody.refuseStranger({ id: recipient, name: '' }, envelope, arrival, outcome);
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
