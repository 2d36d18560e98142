/** Requests and their answers over one wildcard reply inbox: bounded, with one coarse sweep for what never comes. */

import { randomBytes } from 'node:crypto';
import { Deque, FleetwireError } from '@fleetwire/kernel';
import type { Msg } from '@nats-io/nats-core';
import type { Link } from './link.ts';
import { notConnected } from './link.ts';
import { UnderWay } from './under-way.ts';

/** How one kind of request reads its answer and words its failures. All shared, nothing made per request. */
export interface Exchange<T> {
  /** Reads the answer, or throws what it says. */
  decode(message: Msg, subject: string): T;
  timedOut(subject: string): FleetwireError;
  /** The connection went while the answer was awaited. */
  cutOff(subject: string): FleetwireError;
}

interface Pending {
  readonly subject: string;
  readonly exchange: Exchange<unknown>;
  readonly deadline: number;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

interface Waiting extends Pending {
  readonly headers: string;
  readonly payload: Uint8Array;
}

export interface CorrelatorLimits {
  /** Requests on their way at any time; further ones wait their turn. */
  readonly maxInFlight: number;
  /** Requests that may wait; one more is refused. */
  readonly maxWaiting: number;
}

const SWEEP_MS = 100;

export class Correlator {
  readonly #link: Link;
  readonly #limits: CorrelatorLimits;
  readonly #inbox: string;
  readonly #pending: UnderWay<Pending>;
  readonly #waiting = new Deque<Waiting>();
  #sweep: NodeJS.Timeout | undefined;

  constructor(link: Link, inboxPrefix: string, limits: CorrelatorLimits) {
    this.#link = link;
    this.#limits = limits;
    this.#pending = new UnderWay(limits.maxInFlight);
    this.#inbox = `${inboxPrefix}.${randomBytes(10).toString('hex')}.`;
    link.subscribe(`${this.#inbox}*`, (message, refused) => {
      if (refused === undefined) this.#settle(message);
    });
    link.onDown(() => this.#cutOff());
    link.onRefused(({ operation, subject }) => {
      if (operation === 'publish') this.#refuse(subject);
    });
  }

  get inFlight(): number {
    return this.#pending.size;
  }

  /** Rejects as the exchange says, or with unavailable NOT_CONNECTED when it is known that nothing was sent. */
  send<T>(
    subject: string,
    headers: string,
    payload: Uint8Array,
    timeoutMs: number,
    exchange: Exchange<T>,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const deadline = performance.now() + timeoutMs;
      const pending: Pending = { subject, exchange, deadline, resolve, reject };
      if (!this.#pending.full) this.#post(pending, headers, payload);
      else this.#line({ ...pending, headers, payload });
    });
  }

  /** Resolves when nothing is outstanding; every request ends at its deadline at the latest. */
  async idle(): Promise<void> {
    while (this.#pending.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  #post(pending: Pending, headers: string, payload: Uint8Array): void {
    const number = this.#pending.add(pending);
    try {
      this.#link.publish(pending.subject, this.#inbox + number, headers, payload);
    } catch (error) {
      this.#pending.take(number);
      pending.reject(error);
      return;
    }
    if (this.#sweep === undefined) this.#sweep = setInterval(() => this.#expire(), SWEEP_MS).unref();
  }

  #line(waiting: Waiting): void {
    if (!this.#link.up) {
      waiting.reject(notConnected());
      return;
    }
    if (this.#waiting.length < this.#limits.maxWaiting) {
      this.#waiting.push(waiting);
      return;
    }
    waiting.reject(
      new FleetwireError('resource_exhausted', 'TOO_MANY_REQUESTS', 'too much waits for NATS already', {
        retryAfterMs: 100,
      }),
    );
  }

  #settle(message: Msg): void {
    const pending = this.#pending.take(Number(message.subject.slice(this.#inbox.length)));
    if (pending === undefined) return;
    this.#admit();
    try {
      pending.resolve(pending.exchange.decode(message, pending.subject) as never);
    } catch (error) {
      pending.reject(error);
    }
  }

  #admit(): void {
    while (this.#waiting.length > 0 && !this.#pending.full) {
      const next = this.#waiting.shift()!;
      this.#post(next, next.headers, next.payload);
    }
  }

  #expire(): void {
    const now = performance.now();
    for (const { subject, exchange, reject } of this.#pending.takeAll(({ deadline }) => deadline <= now))
      reject(exchange.timedOut(subject));
    this.#admit();
    if (this.#pending.size > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  #cutOff(): void {
    const pending = this.#pending.takeAll(() => true);
    const waiting = this.#waiting.takeAll();
    for (const { reject, exchange, subject } of pending) reject(exchange.cutOff(subject));
    for (const { reject } of waiting) reject(notConnected());
  }

  #refuse(subject: string): void {
    for (const { reject } of this.#pending.takeAll((pending) => pending.subject === subject))
      reject(
        new FleetwireError(
          'permission_denied',
          'PUBLISH_DENIED',
          `NATS does not let us publish to ${subject}`,
        ),
      );
  }
}
