/** Reading an agent's mailbox: what is read is confirmed; a reader may wait for a first message, or look and confirm later. */

import type { Envelope } from '@fleetwire/gen/message';
import type { Delivery, ReadInboxResponse } from '@fleetwire/gen/node';
import { type Clock, FleetwireError } from '@fleetwire/kernel';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import type { Entry } from '../domain/queue.ts';
import { confirmed } from '../domain/receipt.ts';
import { isShown, renewed, shownFor } from '../domain/shown.ts';
import type { Turns } from '../store/turns.ts';
import type { Custody } from './custody.ts';
import { Reserved } from './reserved.ts';
import { deliveryOf, StreamSession } from './stream-session.ts';

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 500;
const WAIT_MAX_MS = 60_000;
/** Bytes of one answer; a first message is always given. */
const ANSWER_BYTES = 4 * 1024 * 1024;
const READ = confirmed('read from the mailbox');
const NOTHING_CONFIRMED = { tooLate: [], cancelled: [] };

export interface ReadOptions {
  readonly limit: number;
  readonly waitMs: number;
  readonly peek: boolean;
  /** Only what answers this message; empty: all but what another reader waits for. */
  readonly replyTo: string;
  /** With peek: how long this reader alone has what it is given. */
  readonly holdMs: number;
  /** Ids of messages to take and confirm, in place of reading; none: read. */
  readonly confirm: readonly string[];
  /** With peek, in place of looking: ids that this reader has been shown, to have for `renewMs` from now on; none: look. */
  readonly hold: readonly string[];
  readonly renewMs: number;
}

export class Mailbox {
  readonly #custody: Custody;
  readonly #turns: Turns;
  readonly #reserved = new Reserved();
  readonly #clock: Clock;

  constructor(custody: Custody, turns: Turns, clock: Clock) {
    this.#custody = custody;
    this.#turns = turns;
    this.#clock = clock;
  }

  async read(agent: HostedAgent, options: ReadOptions, signal: AbortSignal): Promise<ReadInboxResponse> {
    if (Math.max(options.confirm.length, options.hold.length) > LIMIT_MAX) throw tooMany();
    if (options.confirm.length > 0) return this.#turns.run(() => this.#confirm(agent, options.confirm));
    if (options.hold.length > 0 && !options.peek) throw holdOnly();
    if (options.hold.length > 0) return this.#turns.run(() => this.#hold(agent, options));
    const looksOnly = options.peek && options.holdMs === 0;
    const refusal = looksOnly ? undefined : whoTakes(agent);
    if (refusal !== undefined) throw refusal;
    await this.#arrival(agent, options, signal);
    const limit = Math.min(options.limit || LIMIT_DEFAULT, LIMIT_MAX);
    const answer = await this.#turns.run(() =>
      options.peek ? this.#look(agent, options, limit, signal) : this.#take(agent, options, limit, signal),
    );
    if (answer instanceof FleetwireError) throw answer;
    return answer;
  }

  /** Until there is something to read, or the time is over. An answer is kept for who waits for it from the first moment on. */
  async #arrival(agent: HostedAgent, { waitMs, replyTo }: ReadOptions, signal: AbortSignal): Promise<void> {
    const until = this.#nowMs + Math.min(waitMs, WAIT_MAX_MS);
    if (replyTo !== '') this.#reserved.await(agent, replyTo, until);
    for (let nowMs = this.#nowMs; this.#fitting(agent, replyTo, 1, nowMs).length === 0; nowMs = this.#nowMs) {
      if (until <= nowMs || signal.aborted || whoTakes(agent) !== undefined) break;
      await agent.queue.arrival(Math.min(until, this.#nextFreeMs(agent, nowMs)) - nowMs, signal);
    }
    if (replyTo !== '') this.#reserved.await(agent, replyTo, this.#nowMs);
  }

  get #nowMs(): number {
    return this.#clock.monotonicMs();
  }

  /** When some of what others are being shown, at `nowMs`, may be anybody's. */
  #nextFreeMs(agent: HostedAgent, nowMs: number): number {
    let untilMs = Number.POSITIVE_INFINITY;
    for (const entry of agent.queue.waiting)
      if (isShown(entry, nowMs)) untilMs = Math.min(untilMs, entry.shown!.untilMs);
    return untilMs;
  }

  #look(
    agent: HostedAgent,
    { replyTo, holdMs }: ReadOptions,
    limit: number,
    signal: AbortSignal,
  ): ReadInboxResponse | FleetwireError {
    if (holdMs > 0) {
      const refusal = whoTakes(agent);
      if (refusal !== undefined) return refusal;
      if (signal.aborted) return this.#nothing(agent);
      this.#custody.expire(agent);
    }
    const entries = this.#fitting(agent, replyTo, limit);
    if (holdMs > 0) for (const entry of entries) entry.shown = shownFor(holdMs, this.#nowMs);
    const deliveries = entries.map((entry) => this.#deliveryOf(entry));
    return { ...NOTHING_CONFIRMED, deliveries, remaining: agent.queue.waiting.length - deliveries.length };
  }

  /** Inside a turn, which a refusal must not undo: somebody may have come to take the mail since the first look. */
  #take(
    agent: HostedAgent,
    { replyTo }: ReadOptions,
    limit: number,
    signal: AbortSignal,
  ): ReadInboxResponse | FleetwireError {
    const refusal = whoTakes(agent);
    if (refusal !== undefined) return refusal;
    if (signal.aborted) return this.#nothing(agent);
    this.#custody.expire(agent);
    const entries = this.#fitting(agent, replyTo, limit);
    const deliveries = entries.map((entry) => this.#deliveryOf(entry));
    this.#custody.endRead(agent, entries, READ);
    return { ...NOTHING_CONFIRMED, deliveries, remaining: agent.queue.waiting.length };
  }

  /** Inside a turn: what is not there any more has had its end, which this may still change. */
  #confirm(agent: HostedAgent, ids: readonly string[]): ReadInboxResponse {
    const { found, others } = this.#named(agent, ids);
    this.#custody.endRead(agent, found, READ);
    const isLate = (id: string) =>
      !this.#reserved.wasRead(agent, id) && !this.#custody.proof.proveRead(agent, id);
    const tooLate = others.filter(isLate);
    const late = new Set(tooLate);
    this.#reserved.addRead(
      agent,
      ids.filter((id) => !late.has(id)),
    );
    const cancelled = ids.filter((id) => agent.cancelled.has(id));
    return { deliveries: [], remaining: agent.queue.waiting.length, tooLate, cancelled };
  }

  /** Inside a turn: for longer, or, with no time, for others again at once. */
  #hold(agent: HostedAgent, { hold, renewMs }: ReadOptions): ReadInboxResponse {
    const nowMs = this.#nowMs;
    for (const entry of this.#named(agent, hold).found)
      if (isShown(entry, nowMs)) entry.shown = renewed(entry.shown!, renewMs, nowMs);
    this.#custody.expire(agent);
    if (renewMs === 0) agent.queue.wake();
    return this.#nothing(agent);
  }

  /** For who asks for no mail, or is gone. */
  #nothing(agent: HostedAgent): ReadInboxResponse {
    return { ...NOTHING_CONFIRMED, deliveries: [], remaining: agent.queue.waiting.length };
  }

  /**
   * Those that wait, and the ids of the others. Two senders may use the same id: what a reader names it has been shown, and
   * where none of that id was, it has looked without a hold, and not read it before.
   */
  #named(agent: HostedAgent, ids: readonly string[]): { found: Entry[]; others: string[] } {
    const wanted = new Set(ids);
    const found: Entry[] = [];
    const bare: { readonly id: string; readonly entry: Entry }[] = [];
    for (const entry of agent.queue.waiting) {
      if (wanted.size === 0) break;
      const { id } = this.#custody.envelopeOf(entry);
      if (!wanted.has(id)) continue;
      if (entry.shown === undefined) bare.push({ id, entry });
      else if (wanted.delete(id)) found.push(entry);
    }
    for (const { id, entry } of bare)
      if (!this.#reserved.wasRead(agent, id) && wanted.delete(id)) found.push(entry);
    return { found, others: [...wanted] };
  }

  #deliveryOf(entry: Entry): Delivery {
    return deliveryOf(entry, this.#custody.envelopeOf(entry), this.#clock.nowUs());
  }

  /**
   * Those that come next, are in time and no other reader's, as many as fit into one answer; with `replyTo` of those that answer
   * it.
   */
  #fitting(agent: HostedAgent, replyTo: string, limit: number, nowMs = this.#nowMs): Entry[] {
    const next: Entry[] = [];
    const nowUs = this.#clock.nowUs();
    const choosy = replyTo !== '' || this.#reserved.isWaiting(agent, nowMs);
    let bytes = 0;
    for (const entry of agent.queue.waiting.ahead()) {
      if (next.length >= limit) break;
      if (entry.deadlineUs <= nowUs || entry.cancelled || isShown(entry, nowMs)) continue;
      if (choosy && !this.#isFor(agent, replyTo, this.#custody.envelopeOf(entry))) continue;
      bytes += entry.size;
      if (next.length > 0 && bytes > ANSWER_BYTES) break;
      next.push(entry);
    }
    return next;
  }

  #isFor(agent: HostedAgent, replyTo: string, envelope: Envelope): boolean {
    if (replyTo === '') return !this.#reserved.isAwaited(agent, envelope);
    return envelope.replyTo === replyTo || (envelope.correlationId === replyTo && envelope.id !== replyTo);
  }
}

const holdOnly = () =>
  new FleetwireError('invalid_argument', 'HOLD_WITHOUT_PEEK', 'what takes mail cannot hold any', {
    help: 'Say peek together with hold.',
  });

const tooMany = () =>
  new FleetwireError('invalid_argument', 'TOO_MANY_IDS', `more than ${LIMIT_MAX} messages are named`, {
    help: `Name at most ${LIMIT_MAX} in one call.`,
  });

/** The error for a reader when the mail goes elsewhere. */
function whoTakes(agent: HostedAgent): FleetwireError | undefined {
  if (agent.removed || agent.moving.leavingEpoch > 0)
    return new FleetwireError('failed_precondition', 'AGENT_MOVED', `${agent.name} is not here any more`, {
      help: 'Read its mail on the node where it lives now: fleetwire who.',
    });
  if (agent.taker === undefined) return undefined;
  const how = agent.taker instanceof StreamSession ? 'a session' : 'its program';
  return new FleetwireError(
    'failed_precondition',
    'MAIL_GOES_ELSEWHERE',
    `${agent.name} gets its mail by ${how}`,
    {
      help: 'Look without taking (peek), end what takes it, or choose another name that is yours alone.',
    },
  );
}
