/** Deliveries until the application has taken and acknowledged them: each is shown once while the client lives. */

import type { Delivery, DeliveryAck } from '@fleetwire/gen/node';
import { Deque, type FleetwireError } from '@fleetwire/kernel';
import { Message } from './message.ts';
import type { Question } from './questions.ts';

interface Reader {
  resolve(message: Message | undefined): void;
  reject(error: FleetwireError): void;
}

export class Inbox {
  /** Called when there is something to acknowledge. */
  onWork: () => void = () => {};
  /** Takes a delivery away from the readers, such as the answer to a question. */
  intercept: (delivery: Delivery) => boolean = () => false;
  /** Told of each delivery that is shown. */
  asked: (delivery: Delivery) => Question | undefined = () => undefined;
  /** Bounded by the window: the node sends no more than that unacknowledged. */
  readonly #buffer = new Deque<Message>();
  #readers: Reader[] = [];
  #highest = 0;
  /** Shown or buffered and not acknowledged, ascending. */
  readonly #open = new Deque<number>();
  #upTo = 0;
  readonly #beyond = new Set<number>();
  #untold: number[] = [];
  #dirty = false;
  /** Sequences of one life mean nothing in the next. */
  #life = 0;
  #ended: { readonly error: FleetwireError | undefined } | undefined;

  get hasAck(): boolean {
    return this.#dirty;
  }

  receive(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) {
      const { sequence } = delivery;
      // Sent again after a reconnect, because its acknowledgement has not arrived yet.
      if (sequence <= this.#highest) continue;
      this.#highest = sequence;
      this.#open.push(sequence);
      const life = this.#life;
      const ack = () => {
        if (life === this.#life) this.#acknowledge(sequence);
      };
      if (this.intercept(delivery)) ack();
      else this.#show(new Message(delivery, ack, this.asked(delivery)));
    }
  }

  #show(message: Message): void {
    const reader = this.#readers.shift();
    if (reader === undefined) this.#buffer.push(message);
    else reader.resolve(message);
  }

  /** The next message; undefined after the end, or once `signal` aborts. Rejects with what ended the client, if told that. */
  next(signal?: AbortSignal): Promise<Message | undefined> {
    if (signal?.aborted) return Promise.resolve(undefined);
    const message = this.#buffer.shift();
    if (message !== undefined) return Promise.resolve(message);
    if (this.#ended !== undefined)
      return this.#ended.error === undefined ? Promise.resolve(undefined) : Promise.reject(this.#ended.error);
    return new Promise((resolve, reject) => this.#wait({ resolve, reject }, signal));
  }

  /** A reader that goes away takes no message along. */
  #wait({ resolve, reject }: Reader, signal: AbortSignal | undefined): void {
    const leave = () => {
      this.#readers = this.#readers.filter((one) => one !== reader);
      resolve(undefined);
    };
    const over = () => signal?.removeEventListener('abort', leave);
    const reader: Reader = {
      resolve: (message) => {
        over();
        resolve(message);
      },
      reject: (error) => {
        over();
        reject(error);
      },
    };
    signal?.addEventListener('abort', leave, { once: true });
    this.#readers.push(reader);
  }

  #acknowledge(sequence: number): void {
    if (sequence <= this.#upTo || this.#beyond.has(sequence)) return;
    this.#beyond.add(sequence);
    this.#untold.push(sequence);
    for (let first = this.#open.at(0); first !== undefined; first = this.#open.at(0)) {
      if (!this.#beyond.delete(first)) break;
      this.#upTo = first;
      this.#open.shift();
    }
    this.#dirty = true;
    this.onWork();
  }

  /** What was acknowledged since the last call. */
  takeAck(): DeliveryAck {
    const also = this.#untold.filter((sequence) => sequence > this.#upTo);
    this.#untold = [];
    this.#dirty = false;
    return { upTo: this.#upTo, also };
  }

  /** All that was ever acknowledged, for a new session. */
  resume(): DeliveryAck {
    this.#untold = [];
    this.#dirty = false;
    return { upTo: this.#upTo, also: [...this.#beyond] };
  }

  /** The node does not know this agent's deliveries any more: it counts from the start. What is shown stays shown. */
  forget(): void {
    this.#life++;
    this.#highest = 0;
    this.#upTo = 0;
    this.#open.clear();
    this.#beyond.clear();
    this.#untold = [];
    this.#dirty = false;
  }

  end(error: FleetwireError | undefined): void {
    this.#ended = { error };
    const readers = this.#readers;
    this.#readers = [];
    for (const reader of readers)
      if (error === undefined) reader.resolve(undefined);
      else reader.reject(error);
  }
}
