/** Publishes packs to one subject, one at a time: on any doubt the same pack again under the same dedupe id. */

import type { Broker } from '@fleetwire/broker';
import { asFleetwireError, backoffMs, type FleetwireError, pause } from '@fleetwire/kernel';

export interface Pack {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly msgId: string;
}

export interface OneInFlightParts<P extends Pack> {
  /** Undefined while there is no connection. */
  broker(): Broker | undefined;
  /** The next pack; undefined: nothing waits. */
  next(): P | undefined;
  /** The broker has it. */
  stored(pack: P): void;
  /** It was not stored, or nobody knows; it is tried again after a moment. */
  failed(error: FleetwireError): void;
}

const RETRY = { initialMs: 100, maxMs: 5000 } as const;

export class OneInFlight<P extends Pack> {
  readonly #parts: OneInFlightParts<P>;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #pack: P | undefined;
  #again = false;
  #retryNow: AbortController | undefined;

  constructor(parts: OneInFlightParts<P>) {
    this.#parts = parts;
  }

  /** There may be something to publish. */
  kick(): void {
    this.#again = true;
    if (this.#running !== undefined || this.#stopping.signal.aborted) return;
    if (this.#parts.broker()?.connected() !== true) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#again) this.kick();
    });
  }

  /** The connection is back: no need to wait for the next try. */
  hurry(): void {
    this.#retryNow?.abort();
    this.kick();
  }

  /** Resolves when nothing waits any more, or after `timeoutMs`, or at once without a connection. */
  async drain(timeoutMs: number): Promise<void> {
    this.kick();
    if (this.#running === undefined) return;
    await Promise.race([this.#running, pause(timeoutMs)]);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#retryNow?.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    let attempt = 0;
    while (!this.#stopping.signal.aborted) {
      const broker = this.#parts.broker();
      if (broker === undefined || !broker.connected()) return;
      this.#again = false;
      this.#pack ??= this.#parts.next();
      if (this.#pack === undefined) return;
      try {
        await broker.store(this.#pack.subject, this.#pack.payload, { msgId: this.#pack.msgId });
        attempt = 0;
        this.#parts.stored(this.#pack);
        this.#pack = undefined;
      } catch (error) {
        this.#parts.failed(asFleetwireError(error));
        this.#retryNow = new AbortController();
        await pause(backoffMs(RETRY, attempt++), this.#retryNow.signal);
      }
    }
  }
}
