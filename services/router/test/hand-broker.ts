/** A broker in the hands of a test, as far as a session needs one. */

import type { PulledMessage } from '@fleetwire/broker';
import { ingressSubject } from '@fleetwire/contract';
import type { IngressMessage } from '../src/domain/partition-flow.ts';
import { message, NOW_US, ORG } from './samples.ts';

export interface Stored {
  readonly subject: string;
  readonly msgId: string;
  readonly ok: () => void;
  readonly fail: (error: unknown) => void;
}

/** Gives out what the test feeds, and keeps what was asked to be stored and acknowledged. */
export class HandBroker {
  nowUs = NOW_US;
  readonly clock = { nowUs: () => this.nowUs, monotonicMs: () => performance.now() } as never;
  /** What was published by core NATS. */
  readonly published: { readonly subject: string; readonly payload: Uint8Array }[] = [];
  readonly stores: Stored[] = [];
  readonly acked: number[] = [];
  /** What the stream says when it is asked whether it is full. */
  full = true;
  readonly streams = { isFull: async () => this.full };
  onDoubt: (why: string) => void = () => {};
  #batches: PulledMessage[][] = [];
  #delivered = 0;
  #stopped = false;
  #wake: () => void = () => {};

  store(subject: string, _payload: Uint8Array, { msgId }: { msgId: string }) {
    return new Promise<{ sequence: number; duplicate: boolean }>((resolve, fail) => {
      this.stores.push({ subject, msgId, fail, ok: () => resolve({ sequence: 1, duplicate: false }) });
    });
  }

  publish(subject: string, payload: Uint8Array): void {
    this.published.push({ subject, payload });
  }

  feed(...packs: Uint8Array[]): void {
    this.#batches.push(packs.map((data) => this.#message(++this.#delivered, data)));
    this.#wake();
  }

  /** Of a node, as it was stored at that time. */
  feedFrom(node: string, storedAtUs: number, data: Uint8Array): void {
    const subject = ingressSubject.build({ partition: 0, org: ORG, node });
    this.#batches.push([this.#message(++this.#delivered, data, { subject, storedAtUs })]);
    this.#wake();
  }

  /** Delivers a message once more, as when its acknowledgement has not come. */
  again(sequence: number, data: Uint8Array): void {
    const deliverySequence = ++this.#delivered;
    this.#batches.push([{ ...this.#message(sequence, data), deliverySequence } as never]);
    this.#wake();
  }

  /** As when a delivery was lost on its way. */
  lose(): void {
    this.#delivered++;
  }

  pull(_stream: string, _durable: string, o: { onDoubt?: (why: string) => void }) {
    if (o.onDoubt) this.onDoubt = o.onDoubt;
    const stop = async () => {
      this.#stopped = true;
      this.#wake();
    };
    return { stop, [Symbol.asyncIterator]: () => this.#give() } as never;
  }

  async *#give() {
    while (!this.#stopped) {
      const batch = this.#batches.shift();
      if (batch !== undefined) yield batch;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  #message(n: number, data: Uint8Array, over: Partial<IngressMessage> = {}): PulledMessage {
    const rest = { deliverySequence: n, deliveries: 1, header: () => '', nak: () => {} };
    return { ...message(n, data, over), ...rest, ack: () => this.acked.push(n) } as never;
  }
}
