/** One message that a consumer delivered: read lazily, acknowledged by a plain publish. */

import type { Msg } from '@nats-io/nats-core';
import type { Delivery } from './ack-subject.ts';
import { findHeader, rawHeaders } from './headers.ts';
import type { Link } from './link.ts';

const WORKING = Buffer.from('+WPI');

export interface PulledMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Of the stream. */
  readonly sequence: number;
  /** Of the consumer: a hole means that something was lost on its way. */
  readonly deliverySequence: number;
  /** 1 at the first delivery. */
  readonly deliveries: number;
  /** When the stream took it: broker time, microseconds. */
  readonly storedAtUs: number;
  /** '' when the message has no such header; names are compared exactly. */
  header(name: string): string;
  /**
   * Tells the broker that this message is settled; with an ack-all consumer also all that were delivered before it.
   * Never throws and is not confirmed: when it is lost, or the connection is away, the message comes again.
   */
  ack(): void;
  /** It is still being worked on: the time after which it would come again begins anew. */
  working(): void;
  /** Asks for it again, after `delayMs`. Not for ack-all consumers. */
  nak(delayMs?: number): void;
}

export class Pulled implements PulledMessage {
  readonly sequence: number;
  readonly deliverySequence: number;
  readonly deliveries: number;
  readonly storedAtUs: number;
  readonly #link: Link;
  readonly #message: Msg;
  #data: Uint8Array | undefined;
  #headers: string | undefined;

  constructor(link: Link, message: Msg, delivery: Delivery) {
    this.#link = link;
    this.#message = message;
    this.sequence = delivery.sequence;
    this.deliverySequence = delivery.deliverySequence;
    this.deliveries = delivery.deliveries;
    this.storedAtUs = delivery.storedAtUs;
  }

  get subject(): string {
    return this.#message.subject;
  }

  get data(): Uint8Array {
    this.#data ??= this.#message.data;
    return this.#data;
  }

  header(name: string): string {
    this.#headers ??= rawHeaders(this.#message);
    return findHeader(this.#headers, name);
  }

  ack(): void {
    this.#link.signal(this.#message.reply!);
  }

  working(): void {
    if (this.#link.up) this.#link.publish(this.#message.reply!, '', '', WORKING);
  }

  nak(delayMs = 0): void {
    if (!this.#link.up) return;
    const text = delayMs > 0 ? `-NAK {"delay": ${Math.round(delayMs * 1e6)}}` : '-NAK';
    this.#link.publish(this.#message.reply!, '', '', Buffer.from(text));
  }
}
