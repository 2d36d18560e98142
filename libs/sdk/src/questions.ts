/** Questions that this agent was asked: until when an answer is waited for, and whether anybody still waits. */

import type { Delivery } from '@fleetwire/gen/node';
import { FleetwireError, keepNewest } from '@fleetwire/kernel';
import { SDK_LIMITS } from './limits.ts';

/** One of them; without a timer until somebody wants to know. */
export class Question {
  /** By this machine's clock. */
  readonly deadline: Date;
  readonly #id: string;
  #controller: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #over: FleetwireError | undefined;

  constructor({ id, answerLeftMs }: Pick<Delivery, 'id' | 'answerLeftMs'>) {
    this.#id = id;
    this.deadline = new Date(Date.now() + answerLeftMs);
  }

  get signal(): AbortSignal {
    if (this.#controller !== undefined) return this.#controller.signal;
    this.#controller = new AbortController();
    const leftMs = this.deadline.getTime() - Date.now();
    if (this.#over !== undefined) this.#controller.abort(this.#over);
    else if (leftMs <= 0) this.end(late(this.#id));
    else this.#timer = setTimeout(() => this.end(late(this.#id)), leftMs).unref();
    return this.#controller.signal;
  }

  /** Nobody waits for the answer any more. */
  end(why: FleetwireError): void {
    clearTimeout(this.#timer);
    this.#over ??= why;
    this.#controller?.abort(this.#over);
  }

  /** The answer is on its way. */
  answered(): void {
    clearTimeout(this.#timer);
  }
}

export class Questions {
  /** By message id, the newest SDK_LIMITS.asks. */
  readonly #open = new Map<string, Question>();

  /** Undefined: its sender does not ask. */
  asked(delivery: Delivery): Question | undefined {
    if (delivery.answerByUs === 0) return undefined;
    const question = new Question(delivery);
    this.#open.set(delivery.id, question);
    keepNewest(this.#open, SDK_LIMITS.asks);
    return question;
  }

  answered(id: string): void {
    this.#open.get(id)?.answered();
    this.#open.delete(id);
  }

  cancelled(ids: readonly string[]): void {
    for (const id of ids) {
      const question = this.#open.get(id);
      this.#open.delete(id);
      question?.end(
        new FleetwireError('cancelled', 'ASK_CANCELLED', 'its sender has taken the question back', {
          details: { message_id: id },
        }),
      );
    }
  }
}

function late(id: string): FleetwireError {
  return new FleetwireError('deadline_exceeded', 'ASK_TIMEOUT', 'nobody waits for the answer any more', {
    details: { message_id: id },
  });
}
