/** An agent as its program sees it: sends, messages, questions, receipts. */

import type { Receipt } from '@fleetwire/gen/message';
import type { Outgoing } from '@fleetwire/gen/node';
import { FleetwireError } from '@fleetwire/kernel';
import { Asks } from './asks.ts';
import { Inbox } from './inbox.ts';
import { type KnownAgent, knownAgents } from './known-agents.ts';
import { SDK_LIMITS } from './limits.ts';
import { Link, type LinkParts } from './link.ts';
import type { Message } from './message.ts';
import { answerTime, outgoingOf } from './outgoing.ts';
import type { PriorityName } from './priority.ts';
import { Questions } from './questions.ts';
import { ReceiptFeed } from './receipt-feed.ts';
import { SendQueue, type Settle } from './send-queue.ts';
import type { Answerable } from './typed-messages.ts';

export interface SendOptions {
  /** Lowercase ULID; made when left out. The same id again is the same message: it has its effect once. */
  readonly id?: string | undefined;
  /** Media type; plain text when left out. */
  readonly contentType?: string | undefined;
  readonly correlationId?: string | undefined;
  readonly replyTo?: string | undefined;
  /** How long the message may wait; 300,000 when left out, at most 3,600,000. */
  readonly ttlMs?: number | undefined;
  /** W3C trace context; that of the moment when left out. */
  readonly traceparent?: string | undefined;
  /**
   * Ends the call: it rejects with `cancelled` SEND_CANCELLED, and details.sent says "no", or "maybe" when the node may have
   * accepted it. Of ask(): takes the question back.
   */
  readonly signal?: AbortSignal | undefined;
  /** Which of this agent's messages for one recipient go first; `normal` when left out. Order is kept within one level. */
  readonly priority?: PriorityName | undefined;
}

export interface OutgoingMessage extends SendOptions {
  readonly to: string;
  readonly body: string | Uint8Array;
}

/** Accepted when there is no error. */
export interface SendResult {
  readonly id: string;
  readonly error?: FleetwireError;
}

export interface AskOptions extends SendOptions {
  /** How long to wait for the answer; default 60,000, at most 86,400,000. The question itself waits no longer either. */
  readonly timeoutMs?: number | undefined;
}

export interface MessagesOptions {
  /** False: only ack() acknowledges. Default true. */
  readonly autoAck?: boolean | undefined;
  /** Ends the loop; what was not shown yet stays for the next one. */
  readonly signal?: AbortSignal | undefined;
}

export class Agent {
  readonly #inbox = new Inbox();
  readonly #sends = new SendQueue();
  readonly #feed = new ReceiptFeed();
  readonly #asks = new Asks(this.#sends);
  readonly #questions = new Questions();
  readonly #link: Link;
  #closed: Promise<void> = Promise.resolve();
  #ended = false;
  #endedBy: FleetwireError | undefined;

  /** Use connect(). */
  constructor(parts: Omit<LinkParts, 'inbox' | 'sends' | 'feed' | 'asks' | 'questions'>) {
    this.#inbox.intercept = (delivery) => this.#asks.take(delivery);
    this.#inbox.asked = (delivery) => this.#questions.asked(delivery);
    const own = { inbox: this.#inbox, sends: this.#sends, feed: this.#feed };
    this.#link = new Link({ ...parts, ...own, asks: this.#asks, questions: this.#questions });
  }

  /** Resolves when the node has answered for the first time. */
  open(connectMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#link.abort();
        reject(this.#link.lastRefusal ?? unreachable(connectMs, this.#link.lastError));
      }, connectMs);
      const run = this.#link.run(() => {
        clearTimeout(late);
        resolve();
      });
      this.#closed = run.then(
        () => this.#end(undefined),
        (error: FleetwireError) => {
          reject(error);
          this.#end(error);
        },
      );
      void this.#closed.finally(() => clearTimeout(late));
      void run.then(undefined, () => undefined);
    });
  }

  /** The agent's id. */
  get id(): string {
    return this.#link.welcome!.agent;
  }
  get name(): string {
    return this.#link.welcome!.name;
  }
  /** The node's name, for addresses like `alice@laptop`. */
  get node(): string {
    return this.#link.welcome!.nodeName;
  }
  /** False while the node is out of reach: sends and acknowledgements wait for it. */
  get connected(): boolean {
    return this.#link.connected;
  }
  /** What ended the client, such as AGENT_REMOVED; undefined: it has not ended, or by close(). */
  get endedBy(): FleetwireError | undefined {
    return this.#endedBy;
  }
  /** Receipts that were dropped because receipts() was not read. */
  get receiptsDropped(): number {
    return this.#feed.dropped;
  }

  /**
   * Receipts that the node did not keep until this client had come back for them; those of a time in which the node was
   * started anew are not counted.
   */
  get receiptsMissed(): number {
    return this.#feed.missed;
  }

  /**
   * Resolves when the message is on the node's disk; waits while too much is under way. Sends of one client keep their
   * order. Rejects with the node's refusal, such as `resource_exhausted` with retryAfterMs, or when the client ends.
   */
  send(to: string, body: string | Uint8Array, options: SendOptions = {}): Promise<{ id: string }> {
    return new Promise((resolve, reject) => {
      const outgoing = outgoingOf(to, body, options);
      const settle: Settle = (error) => (error === undefined ? resolve({ id: outgoing.id }) : reject(error));
      if (options.signal === undefined) this.#sends.add(outgoing, settle);
      else abortable(this.#sends, outgoing, options.signal, settle);
    });
  }

  /** Sends many in order with little overhead; resolves when each was accepted or refused, results in their order. */
  async sendMany(messages: Iterable<OutgoingMessage>): Promise<SendResult[]> {
    const results: SendResult[] = [];
    let left = 1;
    let finish = (): void => undefined;
    const done = new Promise<void>((resolve) => {
      finish = resolve;
    });
    for (const message of messages) {
      const index = results.length;
      const outgoing = checked(message);
      if (outgoing instanceof FleetwireError) {
        results.push({ id: message.id ?? '', error: outgoing });
        continue;
      }
      results.push({ id: outgoing.id });
      left++;
      const room = this.#sends.add(outgoing, (error) => {
        if (error !== undefined) results[index] = { id: outgoing.id, error };
        if (--left === 0) finish();
      });
      if (!room) await this.#sends.room();
    }
    if (--left === 0) finish();
    await done;
    return results;
  }

  /**
   * The agent's mail, each message once while this client lives. A message is acknowledged when the next one is asked
   * for, or by its ack(); with `autoAck: false` only so. Leaving the loop acknowledges nothing. Ends once `signal` aborts, with
   * close(), and when the agent was removed (`endedBy` tells); throws what else ends the client.
   */
  async *messages(options: MessagesOptions = {}): AsyncGenerator<Message, void> {
    const { autoAck = true, signal } = options;
    for (;;) {
      const message = await this.#inbox.next(signal);
      if (message === undefined) return;
      yield message;
      if (autoAck) message.ack();
    }
  }

  /**
   * Sends and waits for the answer: the first message that replies to this one, also of many. It does not show up in messages().
   * Rejects early, with the reason, when nobody gets the question. When the time is over (`deadline_exceeded` ASK_TIMEOUT) or
   * `signal` aborts (`cancelled` ASK_CANCELLED), the question is taken back wherever it is: one that waits is withdrawn, and who
   * is at work on the answer is told by `message.signal`. An answer that comes all the same is a message as any.
   */
  async ask(to: string, body: string | Uint8Array, options: AskOptions = {}): Promise<Message> {
    const timeoutMs = answerTime(options.timeoutMs ?? SDK_LIMITS.askMs);
    return this.#asks.ask(outgoingOf(to, body, options, timeoutMs), { timeoutMs, signal: options.signal });
  }

  /** Answers a message, in its conversation; in a terminal typedMessage() gives what to answer. */
  reply(message: Answerable, body: string | Uint8Array, options: SendOptions = {}): Promise<{ id: string }> {
    const { correlationId, id: replyTo } = message;
    this.#questions.answered(replyTo);
    return this.send(message.from, body, { correlationId, replyTo, ...options });
  }

  /**
   * Agents of the org as the node knows them; also while the hub is away, for an hour, then none. With a capability only
   * those that have it. Rejects `unavailable` while the node is out of reach.
   */
  agents(filter: { readonly capability?: string | undefined } = {}): Promise<KnownAgent[]> {
    return knownAgents(this.#link.client, filter.capability);
  }

  /** What becomes of the messages that this agent sends; needs `receipts: true` at connect(). Ends with the client. */
  async *receipts(): AsyncGenerator<Receipt, void> {
    for (;;) {
      const receipt = await this.#feed.next();
      if (receipt === undefined) return;
      yield receipt;
    }
  }

  /** Waits up to 5 s until what was sent is accepted and acknowledgements are out, then ends. */
  async close(): Promise<void> {
    if (!this.#ended) await this.#link.close(SDK_LIMITS.closeMs);
    await this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #end(error: FleetwireError | undefined): void {
    this.#ended = true;
    this.#endedBy = error;
    const closed = error ?? new FleetwireError('cancelled', 'AGENT_CLOSED', 'the client was closed');
    this.#sends.fail(closed);
    this.#asks.end(closed);
    // Whoever stopped the agent meant its program to end, which is no fault of the program's.
    this.#inbox.end(error?.reason === 'AGENT_REMOVED' ? undefined : error);
    this.#feed.end();
  }
}

function abortable(sends: SendQueue, outgoing: Outgoing, signal: AbortSignal, settle: Settle): void {
  if (signal.aborted) {
    settle(sendCancelled(outgoing, 'no', signal));
    return;
  }
  const abort = () => settle(sendCancelled(outgoing, sends.withdraw(outgoing) ? 'no' : 'maybe', signal));
  signal.addEventListener('abort', abort, { once: true });
  sends.add(outgoing, (error) => {
    signal.removeEventListener('abort', abort);
    settle(error);
  });
}

function sendCancelled({ id, to }: Outgoing, sent: 'no' | 'maybe', signal: AbortSignal): FleetwireError {
  const how = sent === 'no' ? 'it was not sent' : 'it may have been accepted';
  return new FleetwireError('cancelled', 'SEND_CANCELLED', `the send to ${to} was given up; ${how}`, {
    help: 'Send it again with the same id: it has its effect once.',
    details: { message_id: id, sent },
    cause: signal.reason,
  });
}

/** One message of many that cannot be sent is no reason to leave the others unanswered. */
function checked(message: OutgoingMessage): Outgoing | FleetwireError {
  try {
    return outgoingOf(message.to, message.body, message);
  } catch (error) {
    if (error instanceof FleetwireError) return error;
    throw error;
  }
}

function unreachable(ms: number, cause: FleetwireError | undefined): FleetwireError {
  return new FleetwireError('unavailable', 'NODE_UNREACHABLE', `the node did not answer within ${ms} ms`, {
    help: 'Is it running? "fleetwire status" tells.',
    cause,
  });
}
