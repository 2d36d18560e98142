/** A broker for tests of one loop: a queue of messages that come again until they are acknowledged. */

import type { Broker, PulledBatch, PulledMessage, PullSession } from '@fleetwire/broker';

export interface Published {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly msgId: string;
}

export class FakeBroker {
  readonly acknowledged: number[] = [];
  readonly published: Published[] = [];
  /** How many batches have been asked for. */
  pulls = 0;
  /** Publishing takes a turn. */
  slow = false;
  togetherMax = 0;
  #together = 0;
  #sequence = 0;
  #queue: PulledMessage[] = [];
  #wake: () => void = () => undefined;
  #stopped = false;

  put(subject: string, data: Uint8Array): number {
    const sequence = ++this.#sequence;
    const ack = () => void this.acknowledged.push(sequence);
    const times = { sequence, deliverySequence: sequence, deliveries: 1, storedAtUs: 1_000_000 + sequence };
    const message = {
      subject,
      data,
      ...times,
      ack,
      working: () => undefined,
      nak: () => undefined,
      header: () => '',
    };
    this.#queue.push(message as PulledMessage);
    this.#wake();
    return sequence;
  }

  asBroker(): Broker {
    const store: Broker['store'] = async (subject, payload, { msgId }) => {
      this.togetherMax = Math.max(this.togetherMax, ++this.#together);
      if (this.slow) await new Promise((resolve) => setImmediate(resolve));
      this.#together--;
      this.published.push({ subject, payload, msgId });
      return { sequence: this.published.length, duplicate: false };
    };
    const pull: Broker['pull'] = (_stream, _consumer, { batch }) => this.#session(batch);
    return { store, pull } as unknown as Broker;
  }

  #session(batch: number): PullSession {
    const take = async function* (this: FakeBroker): AsyncGenerator<PulledBatch> {
      for (;;) {
        this.pulls++;
        while (this.#queue.length === 0 && !this.#stopped)
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        if (this.#stopped) return;
        yield this.#queue.splice(0, batch);
      }
    }.bind(this);
    const stop = async () => {
      this.#stopped = true;
      this.#wake();
    };
    return { [Symbol.asyncIterator]: take, stop } as PullSession;
  }
}
