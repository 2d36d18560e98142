/** Questions that wait for their answer: found by what the answer says it replies to, taken back when nobody waits any more. */

import { kindOfReason, TTL_CAP_MS } from '@fleetwire/contract';
import { type Receipt, Stage } from '@fleetwire/gen/message';
import type { Delivery, Outgoing } from '@fleetwire/gen/node';
import {
  type Address,
  FleetwireError,
  isToMany,
  keepNewest,
  newMessageId,
  parseAddress,
} from '@fleetwire/kernel';
import { SDK_LIMITS } from './limits.ts';
import { Message } from './message.ts';
import type { SendQueue } from './send-queue.ts';

export interface AskWait {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

interface Ask {
  readonly question: Outgoing;
  readonly address: Address | undefined;
  /** Name of whom it was routed to; empty: not known yet. */
  recipient: string;
  readonly resolve: (answer: Message) => void;
  readonly reject: (error: FleetwireError) => void;
  /** Ends its timer and its listener. */
  readonly dispose: () => void;
}

/** Ends after which no answer can come. */
const FAILED: readonly Stage[] = [Stage.EXPIRED, Stage.RETURNED, Stage.DEAD];

export class Asks {
  readonly #sends: SendQueue;
  readonly #open = new Map<string, Ask>();
  /** Given up before anybody knew whom they had been routed to. */
  readonly #unplaced = new Map<string, Ask>();

  constructor(sends: SendQueue) {
    this.#sends = sends;
  }

  /**
   * Sends `question` and waits for its answer. Rejects with its end when that is no delivery, `deadline_exceeded` ASK_TIMEOUT or
   * `cancelled` ASK_CANCELLED: then it is taken back, and an answer that comes all the same is a message as any.
   */
  ask(question: Outgoing, { timeoutMs, signal }: AskWait): Promise<Message> {
    const { id, to } = question;
    if (signal?.aborted) return Promise.reject(cancelled(id, to, signal));
    if (this.#open.size >= SDK_LIMITS.asks) return Promise.reject(tooManyAsks());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#giveUp(id, timedOut(id, to, timeoutMs)), timeoutMs);
      const abort = () => this.#giveUp(id, cancelled(id, to, signal));
      signal?.addEventListener('abort', abort, { once: true });
      const dispose = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      this.#open.set(id, { question, address: addressIn(to), recipient: '', resolve, reject, dispose });
      this.#sends.add(question, (error) => {
        if (error !== undefined) this.#close(id)?.reject(error);
      });
    });
  }

  /** True when the delivery answers an open question; the question is closed then. */
  take(delivery: Delivery): boolean {
    const { replyTo, correlationId, id } = delivery;
    const key = this.#open.has(replyTo) ? replyTo : correlationId;
    const ask = key === id ? undefined : this.#close(key);
    ask?.resolve(new Message(delivery, () => undefined));
    return ask !== undefined;
  }

  /** What becomes of questions: one that nobody gets is not waited for. */
  heard(receipts: readonly Receipt[]): void {
    if (this.#open.size + this.#unplaced.size === 0) return;
    for (const receipt of receipts) {
      const { messageId: id, recipientName } = receipt;
      const unplaced = recipientName === '' ? undefined : this.#unplaced.get(id);
      if (unplaced !== undefined) {
        this.#unplaced.delete(id);
        // Who has confirmed it may still be at work on the answer.
        if (!FAILED.includes(receipt.stage)) this.#takeBack(unplaced, recipientName);
      }
      const ask = this.#open.get(id);
      if (ask === undefined) continue;
      if (ask.recipient === '') ask.recipient = recipientName;
      // Of many, another one may answer.
      const alone = receipt.recipient === '' || ask.address === undefined || !isToMany(ask.address);
      if (alone && receipt.final && FAILED.includes(receipt.stage)) this.#close(id)!.reject(endOf(receipt));
    }
  }

  end(error: FleetwireError): void {
    for (const id of this.#open.keys()) this.#close(id)?.reject(error);
    this.#unplaced.clear();
  }

  #close(id: string): Ask | undefined {
    const ask = this.#open.get(id);
    this.#open.delete(id);
    ask?.dispose();
    return ask;
  }

  #giveUp(id: string, error: FleetwireError): void {
    const ask = this.#close(id);
    if (ask === undefined) return;
    ask.reject(error);
    const { question, address, recipient } = ask;
    if (this.#sends.withdraw(question)) return;
    // Who can do something is chosen anew for each message, so the one that was chosen is told by name.
    if (address?.kind !== 'capability') this.#takeBack(ask, question.to);
    else if (recipient !== '') this.#takeBack(ask, recipient);
    else {
      this.#unplaced.set(id, ask);
      keepNewest(this.#unplaced, SDK_LIMITS.asks);
    }
  }

  /** One that is refused changes nothing: the recipient knows until when an answer is waited for. */
  #takeBack({ question }: Ask, to: string): void {
    const { id, correlationId, traceparent, priority, answerWithinMs } = question;
    const ttlMs = question.ttlMs || Math.min(answerWithinMs, TTL_CAP_MS);
    const head = { ref: 0, id: newMessageId(), to, body: new Uint8Array(), contentType: '', replyTo: '' };
    const own = correlationId || id;
    const rest = { correlationId: own, ttlMs, traceparent, priority, answerWithinMs: 0, cancels: id };
    this.#sends.add({ ...head, ...rest }, () => undefined);
  }
}

function addressIn(to: string): Address | undefined {
  try {
    return parseAddress(to);
  } catch (error) {
    // The node says what is wrong with it.
    if (error instanceof FleetwireError) return undefined;
    throw error;
  }
}

function endOf({ messageId: id, reason, detail, to }: Receipt): FleetwireError {
  const said = `the question to ${to} has come back: ${detail || reason}`;
  return new FleetwireError(kindOfReason(reason), reason || 'NOT_DELIVERED', said, {
    help: `See every hop with: fleetwire trace ${id}`,
    details: { message_id: id },
  });
}

function timedOut(id: string, to: string, timeoutMs: number): FleetwireError {
  return new FleetwireError('deadline_exceeded', 'ASK_TIMEOUT', `no answer of ${to} within ${timeoutMs} ms`, {
    help: `See how far the question came: fleetwire trace ${id}`,
    details: { message_id: id },
  });
}

function cancelled(id: string, to: string, signal: AbortSignal | undefined): FleetwireError {
  return new FleetwireError('cancelled', 'ASK_CANCELLED', `the question to ${to} was taken back`, {
    details: { message_id: id },
    cause: signal?.reason,
  });
}

function tooManyAsks(): FleetwireError {
  return new FleetwireError('resource_exhausted', 'TOO_MANY_ASKS', `${SDK_LIMITS.asks} questions are open`, {
    help: 'Wait for some of the answers first.',
    retryAfterMs: 100,
  });
}
