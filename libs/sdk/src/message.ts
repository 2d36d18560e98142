/** A message as the agent sees it. */

import type { Delivery } from '@fleetwire/gen/node';
import { type PriorityName, priorityName } from './priority.ts';
import type { Question } from './questions.ts';

export class Message {
  readonly id: string;
  /** Name of the sending agent: where to send an answer. */
  readonly from: string;
  /** Id of the sending agent. */
  readonly fromAgent: string;
  /** The address as the sender wrote it. */
  readonly to: string;
  readonly body: Uint8Array;
  /** Empty for plain text. */
  readonly contentType: string;
  readonly correlationId: string;
  /** Id of the message that this one answers; empty when it answers none. */
  readonly replyTo: string;
  /** W3C trace context. */
  readonly traceparent: string;
  /** Microseconds since the Unix epoch, in broker time: when the sender's node accepted it. */
  readonly acceptedAtUs: number;
  readonly priority: PriorityName;
  readonly #ack: () => void;
  readonly #question: Question | undefined;
  #never: AbortController | undefined;

  constructor(delivery: Delivery, ack: () => void, question?: Question) {
    this.id = delivery.id;
    this.from = delivery.fromName;
    this.fromAgent = delivery.fromAgent;
    this.to = delivery.to;
    this.body = delivery.body;
    this.contentType = delivery.contentType;
    this.correlationId = delivery.correlationId;
    this.replyTo = delivery.replyTo;
    this.traceparent = delivery.traceparent;
    this.acceptedAtUs = delivery.acceptedAtUs;
    this.priority = priorityName(delivery.priority);
    this.#ack = ack;
    this.#question = question;
  }

  /** The body as UTF-8 text. */
  get text(): string {
    return decoder.decode(this.body);
  }

  /** Until when its sender waits for an answer, by this machine's clock; undefined: it does not ask. */
  get deadline(): Date | undefined {
    return this.#question?.deadline;
  }

  /**
   * Aborts when nobody waits for an answer any more: its sender has taken the question back (ASK_CANCELLED), or the deadline has
   * passed (ASK_TIMEOUT). Of a message that asks nothing it never does. It does not know of an answer by another client.
   */
  get signal(): AbortSignal {
    if (this.#question !== undefined) return this.#question.signal;
    this.#never ??= new AbortController();
    return this.#never.signal;
  }

  /** Confirms the message to its sender; a second call does nothing. */
  ack(): void {
    this.#ack();
  }
}

const decoder = new TextDecoder();
