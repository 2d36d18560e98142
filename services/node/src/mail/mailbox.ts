/** Reading an agent's mailbox: what is read is confirmed; a reader may wait for a first message, or look and confirm later. */

import type { Envelope } from '@fleetwire/gen/message';
import type { Delivery, ReadInboxResponse } from '@fleetwire/gen/node';
import { type Clock, FleetwireError } from '@fleetwire/kernel';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import type { Entry } from '../domain/queue.ts';
import { confirmed } from '../domain/receipt.ts';
import type { Turns } from '../store/turns.ts';
import type { Custody } from './custody.ts';
import { Reserved } from './reserved.ts';
import { deliveryOf, StreamSession } from './stream-session.ts';

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 500;
const WAIT_MAX_MS = 60_000;
const HOLD_MAX_MS = 60_000;
/** Bytes of one answer; a first message is always given. */
const ANSWER_BYTES = 4 * 1024 * 1024;
const READ = confirmed('read from the mailbox');

export interface ReadOptions {
  readonly limit: number;
  readonly waitMs: number;
  readonly peek: boolean;
  /** Only what answers this message; empty: all but what another reader waits for. */
  readonly replyTo: string;
  /** With peek: how long other readers are not given what this one is. */
  readonly holdMs: number;
  /** Ids of messages to take and confirm, in place of reading; none: read. */
  readonly confirm: readonly string[];
}

export class Mailbox {
  readonly #custody: Custody;
  readonly #turns: Turns;
  readonly #reserved = new Reserved();
  readonly #clock: Pick<Clock, 'nowUs'>;

  constructor(custody: Custody, turns: Turns, clock: Pick<Clock, 'nowUs'>) {
    this.#custody = custody;
    this.#turns = turns;
    this.#clock = clock;
  }

  async read(agent: HostedAgent, options: ReadOptions, signal: AbortSignal): Promise<ReadInboxResponse> {
    if (options.confirm.length > 0) return this.#turns.run(() => this.#confirm(agent, options.confirm));
    const looksOnly = options.peek && options.holdMs === 0;
    const refusal = looksOnly ? undefined : whoTakes(agent);
    if (refusal !== undefined) throw refusal;
    await this.#arrival(agent, options, signal);
    const limit = Math.min(options.limit || LIMIT_DEFAULT, LIMIT_MAX);
    const answer = await this.#turns.run(() =>
      options.peek ? this.#look(agent, options, limit) : this.#take(agent, options, limit),
    );
    if (answer instanceof FleetwireError) throw answer;
    return answer;
  }

  /** Until there is something to read, or the time is over. An answer is kept for who waits for it from the first moment on. */
  async #arrival(agent: HostedAgent, { waitMs, replyTo }: ReadOptions, signal: AbortSignal): Promise<void> {
    const until = performance.now() + Math.min(waitMs, WAIT_MAX_MS);
    if (replyTo !== '') this.#reserved.await(agent, replyTo, until);
    while (this.#fitting(agent, replyTo, 1).length === 0) {
      const leftMs = until - performance.now();
      if (leftMs <= 0 || signal.aborted) break;
      await agent.queue.arrival(leftMs, signal);
    }
    if (replyTo !== '') this.#reserved.await(agent, replyTo, performance.now());
  }

  #look(agent: HostedAgent, { replyTo, holdMs }: ReadOptions, limit: number): ReadInboxResponse {
    if (holdMs > 0) this.#custody.expire(agent);
    const entries = this.#fitting(agent, replyTo, limit);
    if (holdMs > 0) this.#reserved.show(entries, performance.now() + Math.min(holdMs, HOLD_MAX_MS));
    const deliveries = entries.map((entry) => this.#deliveryOf(entry));
    return { deliveries, remaining: agent.queue.waiting.length - deliveries.length };
  }

  /** Inside a turn, which a refusal must not undo: somebody may have come to take the mail since the first look. */
  #take(agent: HostedAgent, { replyTo }: ReadOptions, limit: number): ReadInboxResponse | FleetwireError {
    const refusal = whoTakes(agent);
    if (refusal !== undefined) return refusal;
    this.#custody.expire(agent);
    const entries = this.#fitting(agent, replyTo, limit);
    const deliveries = entries.map((entry) => this.#deliveryOf(entry));
    this.#custody.endRead(agent, entries, READ);
    return { deliveries, remaining: agent.queue.waiting.length };
  }

  /** Inside a turn: what is not there any more has had its end. */
  #confirm(agent: HostedAgent, ids: readonly string[]): ReadInboxResponse {
    const wanted = new Set(ids.slice(0, LIMIT_MAX));
    const found: Entry[] = [];
    for (const entry of agent.queue.waiting) {
      if (wanted.delete(this.#custody.envelopeOf(entry).id)) found.push(entry);
      if (wanted.size === 0) break;
    }
    this.#custody.endRead(agent, found, READ);
    return { deliveries: [], remaining: agent.queue.waiting.length };
  }

  #deliveryOf(entry: Entry): Delivery {
    return deliveryOf(entry, this.#custody.envelopeOf(entry), this.#clock.nowUs());
  }

  /**
   * Those that come next, are in time and no other reader's, as many as fit into one answer; with `replyTo` of those that answer
   * it.
   */
  #fitting(agent: HostedAgent, replyTo: string, limit: number): Entry[] {
    const next: Entry[] = [];
    const nowMs = performance.now();
    const nowUs = this.#clock.nowUs();
    const choosy = replyTo !== '' || this.#reserved.isWaiting(agent, nowMs);
    let bytes = 0;
    for (const entry of agent.queue.waiting.ahead()) {
      if (next.length >= limit) break;
      if (entry.deadlineUs <= nowUs || this.#reserved.isShown(entry, nowMs)) continue;
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

/** The error for a reader when the mail goes elsewhere. */
function whoTakes(agent: HostedAgent): FleetwireError | undefined {
  if (agent.taker === undefined) return undefined;
  const how = agent.taker instanceof StreamSession ? 'a session' : 'its program';
  return new FleetwireError(
    'failed_precondition',
    'MAIL_GOES_ELSEWHERE',
    `${agent.name} gets its mail by ${how}`,
    {
      help: 'Look without taking (peek), or end the session first.',
    },
  );
}
