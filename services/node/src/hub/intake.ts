/** Takes mail out of the inbox stream: a batch, one transaction, then the acknowledgements. */

import type { Broker, PulledMessage, PullSession } from '@fleetwire/broker';
import { inboxSubject, nodeConsumer } from '@fleetwire/contract';
import { Envelope, type InboxEntry, InboxPack } from '@fleetwire/gen/message';
import { asFleetwireError, backoffMs, type Clock, FleetwireError, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { AgentBook } from '../agents/agent-book.ts';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import { type LooseEntries, looseEntries, looseHeader } from '../domain/loose-mail.ts';
import { returned } from '../domain/receipt.ts';
import type { Custody } from '../mail/custody.ts';
import type { Turns } from '../store/turns.ts';

export interface IntakeParts {
  readonly org: string;
  readonly node: string;
  readonly book: AgentBook;
  readonly custody: Custody;
  readonly turns: Turns;
  readonly clock: Clock;
  readonly log: Logger;
  readonly pullBatch: number;
  /** How long new mail is held up for the full queue of an agent that is taking it up; 0: not at all. */
  readonly queueWaitMs: number;
  /** Makes the consumer anew, so that all that was not acknowledged comes again, in order. */
  openInbox(): Promise<void>;
}

/** One message of a pack, or a pack that has none. */
interface Parcel {
  readonly message: PulledMessage;
  readonly entry: InboxEntry | undefined;
  /** It could not be decoded; `entry` is what could be read of it. */
  readonly broken: boolean;
  /** The pack is acknowledged once this one is taken in. */
  readonly last: boolean;
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
        if (!(error instanceof FleetwireError) || error.kind !== 'unavailable') throw error;
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

  /** In order, as far as there is room; what has to wait for it is taken in by a later transaction. */
  async #take(messages: readonly PulledMessage[], doubt: AbortSignal): Promise<void> {
    const parcels = messages.flatMap((message) => this.#parcels(message));
    for (let at = 0; at < parcels.length; ) {
      const until = this.#parts.clock.monotonicMs() + this.#parts.queueWaitMs;
      await this.#waitForRoom(parcels.slice(at), until, doubt);
      // The rest comes again: refusing it now for want of room would return mail that only has to wait.
      if (doubt.aborted) return;
      const end = await this.#parts.turns.run(() => this.#takeParcels(parcels, at, until));
      for (const { message, last } of parcels.slice(at, end)) if (last) message.ack();
      at = end;
    }
  }

  /** At least one; gives where the first is that has to wait. */
  #takeParcels(parcels: readonly Parcel[], from: number, until: number): number {
    let at = from;
    do {
      const { message, entry, broken } = parcels[at++]!;
      if (entry === undefined) continue;
      if (broken) this.#returnUnreadable(entry, message, 'its entry cannot be decoded');
      else this.#takeEntry(entry, message);
    } while (at < parcels.length && !this.#hasToWait(parcels[at]!, until));
    return at;
  }

  #hasToWait({ entry, broken }: Parcel, until: number): boolean {
    if (entry === undefined || broken) return false;
    return entry.recipients.some((recipient) => {
      const agent = this.#parts.book.byId(recipient);
      if (agent === undefined || agent.queue.hasRoom(entry.envelope.length)) return false;
      return this.#mayMakeRoom(agent, until);
    });
  }

  #takeEntry(entry: InboxEntry, message: PulledMessage): void {
    const { book, custody } = this.#parts;
    const arrival = arrivalOf(entry);
    const envelope = this.#envelope(entry, message);
    if (envelope === undefined) return;
    for (const recipient of entry.recipients) {
      const agent = book.byId(recipient);
      if (agent !== undefined) custody.hold(agent, envelope, entry.envelope, arrival);
      else {
        const outcome = returned('AGENT_NOT_HERE', 'the agent does not live on this node any more');
        custody.refuseStranger({ id: recipient, name: '' }, envelope, arrival, outcome);
      }
    }
  }

  /** An agent whose queue is full for a moment is given that moment, so that a burst is not returned. */
  async #waitForRoom(parcels: readonly Parcel[], until: number, doubt: AbortSignal): Promise<void> {
    const wanted = new Map<string, number>();
    for (const { entry, broken } of parcels)
      if (entry !== undefined && !broken)
        for (const recipient of entry.recipients) wanted.set(recipient, (wanted.get(recipient) ?? 0) + 1);
    for (const [recipient, count] of wanted) {
      const agent = this.#parts.book.byId(recipient);
      if (agent !== undefined) await this.#waitForAgent(agent, count, until, doubt);
    }
  }

  async #waitForAgent(agent: HostedAgent, count: number, until: number, doubt: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    while (!agent.queue.hasRoomFor(count) && !doubt.aborted) {
      if (this.#mayMakeRoom(agent, until)) await pause(LOOK_MS, doubt);
      else {
        const nowMs = clock.monotonicMs();
        if (agent.taker !== undefined && nowMs >= agent.slowUntilMs) agent.slowUntilMs = nowMs + SLOW_MS;
        return;
      }
    }
  }

  /** Of an agent without room: is it worth a wait? */
  #mayMakeRoom(agent: HostedAgent, until: number): boolean {
    const nowMs = this.#parts.clock.monotonicMs();
    if (agent.taker === undefined) return nowMs < agent.expectedUntilMs;
    return nowMs >= agent.slowUntilMs && nowMs < Math.max(until, agent.expectedUntilMs);
  }

  #parcels(message: PulledMessage): Parcel[] {
    const { sound, broken } = this.#decode(message);
    const parcels: Parcel[] = [
      ...sound.map((entry) => ({ message, entry, broken: false, last: false })),
      ...broken.map((entry) => ({ message, entry, broken: true, last: false })),
    ];
    if (parcels.length === 0) return [{ message, entry: undefined, broken: false, last: true }];
    parcels[parcels.length - 1] = { ...parcels.at(-1)!, last: true };
    return parcels;
  }

  #decode(message: PulledMessage): LooseEntries {
    try {
      return { sound: InboxPack.decode(message.data).entries, broken: [] };
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
