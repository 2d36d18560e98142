/** Questions that wait for their answer, found by what the answer says it replies to. */

import type { Delivery } from '@fleetwire/gen/node';
import { FleetwireError } from '@fleetwire/kernel';
import { SDK_LIMITS } from './limits.ts';
import { Message } from './message.ts';

interface Ask {
  readonly resolve: (answer: Message) => void;
  readonly reject: (error: FleetwireError) => void;
  readonly timer: NodeJS.Timeout;
}

export class Asks {
  readonly #open = new Map<string, Ask>();

  /** Waits for the answer to message `id`. Rejects `deadline_exceeded` ASK_TIMEOUT; a later answer is a message as any. */
  wait(id: string, to: string, timeoutMs: number): Promise<Message> {
    if (this.#open.size >= SDK_LIMITS.asks)
      return Promise.reject(
        new FleetwireError('resource_exhausted', 'TOO_MANY_ASKS', `${SDK_LIMITS.asks} questions are open`),
      );
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.fail(id, timedOut(id, to, timeoutMs)), timeoutMs);
      this.#open.set(id, { resolve, reject, timer });
    });
  }

  /** True when the delivery answers an open question; the question is closed then. */
  take(delivery: Delivery): boolean {
    const { replyTo, correlationId, id } = delivery;
    const key = this.#open.has(replyTo) ? replyTo : correlationId;
    const ask = key === id ? undefined : this.#open.get(key);
    if (ask === undefined) return false;
    this.#open.delete(key);
    clearTimeout(ask.timer);
    ask.resolve(new Message(delivery, () => undefined));
    return true;
  }

  fail(id: string, error: FleetwireError): void {
    const ask = this.#open.get(id);
    if (ask === undefined) return;
    this.#open.delete(id);
    clearTimeout(ask.timer);
    ask.reject(error);
  }

  end(error: FleetwireError): void {
    for (const id of this.#open.keys()) this.fail(id, error);
  }
}

function timedOut(id: string, to: string, timeoutMs: number): FleetwireError {
  return new FleetwireError('deadline_exceeded', 'ASK_TIMEOUT', `no answer of ${to} within ${timeoutMs} ms`, {
    help: `See how far the question came: fleetwire trace ${id}`,
    details: { message_id: id },
  });
}
