/** A pull that never ends: keeps the server supplied with requests, notices silence and holes, hands out batches. */

import { randomBytes } from 'node:crypto';
import { FleetwireError } from '@fleetwire/kernel';
import type { Msg, Subscription } from '@nats-io/nats-core';
import { isAckSubject, readAckSubject } from './ack-subject.ts';
import { findHeader, rawHeaders, statusOf } from './headers.ts';
import type { Link } from './link.ts';
import type { PulledMessage } from './pulled-message.ts';
import { Pulled } from './pulled-message.ts';

/** What has arrived by now, in order: at least one message, at most `batch`. */
export type PulledBatch = readonly PulledMessage[];

export interface PullOptions {
  /** Messages of one request, and of one batch at most. Up to twice as many are held in memory. */
  readonly batch: number;
  /** Bytes of one request; no bound when undefined. A single larger message still comes. */
  readonly maxBytes?: number | undefined;
  /** How long one request stays with the server. Default 10,000. */
  readonly expiresMs?: number | undefined;
  /** JetStream domain by which the consumer is reached; the account's own when undefined or empty. */
  readonly domain?: string | undefined;
  /** The server says so often that it is there. Default 1,000; half of `expiresMs` at most. */
  readonly heartbeatMs?: number | undefined;
  /** The `deliverySequence` that the first message must have: 1 for a consumer that was just made. */
  readonly firstDelivery?: number | undefined;
  /**
   * Called once, when what was delivered may have been lost on its way: a hole in the delivery sequence, the connection
   * lost, the consumer gone. It ends the session: what arrived before the hole is still handed out, nothing after.
   * Without it the session goes on by itself for ever, and nothing is said about holes: right for a consumer that is
   * shared, or where order does not matter. Its loop then throws failed_precondition PULL_REFUSED when rights lack.
   */
  readonly onDoubt?: ((why: string) => void) | undefined;
}

export interface PullSession extends AsyncIterable<PulledBatch> {
  /** Asks for no more; resolves when nothing more can arrive. What has arrived is still handed out, then the loop ends. */
  stop(): Promise<void>;
}

/** Heartbeats missed, in halves of the interval, before the request counts as lost. */
const SILENT_TICKS = 4;
/** Requests in a row that nobody answers before the consumer counts as gone. */
const SILENT_REQUESTS = 2;
const GONE_AFTER_MS = 1000;
const RETRY_MS = { first: 50, most: 1000 };

export class PullLoop implements PullSession {
  readonly #link: Link;
  readonly #o: PullOptions;
  readonly #subject: string;
  readonly #inbox: string;
  readonly #request: Uint8Array;
  readonly #lone: Uint8Array;
  readonly #tick: NodeJS.Timeout;
  readonly #unlisten: (() => void)[] = [];
  #subscription: Subscription | undefined;
  #buffer: Pulled[] = [];
  #bufferedBytes = 0;
  /** Messages that the server may still send for what was asked. */
  #asked = 0;
  #arrived: PromiseWithResolvers<void> | undefined;
  #stopping = false;
  #ended = false;
  #failure: FleetwireError | undefined;
  #expected: number | undefined;
  #heard = false;
  #heardMs = performance.now();
  #silentTicks = 0;
  #silentRequests = 0;
  #refusedSinceMs: number | undefined;
  #retryMs = RETRY_MS.first;
  #retry: NodeJS.Timeout | undefined;
  /** The last request ended without a message, perhaps because the next one is larger than `maxBytes`. */
  #nothingFits = false;
  #loneAsked = false;
  #receivedOfRequest = 0;

  constructor(link: Link, inboxPrefix: string, stream: string, consumer: string, o: PullOptions) {
    this.#link = link;
    this.#o = o;
    this.#expected = o.firstDelivery;
    const domain = o.domain ? `.${o.domain}` : '';
    this.#subject = `$JS${domain}.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    this.#inbox = `${inboxPrefix}.${randomBytes(10).toString('hex')}`;
    const expiresMs = o.expiresMs ?? 10_000;
    const heartbeatMs = Math.min(o.heartbeatMs ?? 1000, Math.floor(expiresMs / 2));
    const times = { expires: expiresMs * 1e6, idle_heartbeat: heartbeatMs * 1e6 };
    const bytes = o.maxBytes === undefined ? {} : { max_bytes: o.maxBytes };
    this.#request = Buffer.from(JSON.stringify({ batch: o.batch, ...bytes, ...times }));
    this.#lone = Buffer.from(JSON.stringify({ batch: 1, ...times }));
    this.#tick = setInterval(() => this.#listen(), heartbeatMs / 2).unref();
    this.#start();
  }

  [Symbol.asyncIterator](): AsyncIterator<PulledBatch> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.#end();
        this.#buffer = [];
        return { done: true, value: undefined };
      },
    };
  }

  /** Milliseconds since anything came, heartbeats included. */
  get silentMs(): number {
    return performance.now() - this.#heardMs;
  }

  /** It will bring nothing more. */
  get over(): boolean {
    return this.#ended;
  }

  async stop(): Promise<void> {
    if (this.#ended || this.#stopping) return;
    this.#stopping = true;
    if (this.#link.up) await this.#subscription?.drain().catch(() => undefined);
    this.#end();
  }

  #start(): void {
    this.#subscription = this.#link.subscribe(this.#inbox, (message, refused) => {
      if (refused === undefined) this.#receive(message);
      else this.#fail('the subscription for what is pulled is not permitted', refused);
    });
    this.#unlisten.push(
      this.#link.onDown(() => this.#cutOff()),
      this.#link.onUp(() => this.#supply()),
      this.#link.onClosed(() => this.#end()),
      this.#link.onRefused(({ subject }) => {
        if (subject === this.#subject) this.#fail('pulling from the consumer is not permitted');
      }),
    );
    this.#supply();
  }

  async #next(): Promise<IteratorResult<PulledBatch>> {
    while (this.#buffer.length === 0) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended) return { done: true, value: undefined };
      this.#arrived ??= Promise.withResolvers<void>();
      await this.#arrived.promise;
    }
    const { batch } = this.#o;
    const value = this.#buffer.length <= batch ? this.#buffer : this.#buffer.slice(0, batch);
    this.#buffer = this.#buffer.length <= batch ? [] : this.#buffer.slice(batch);
    if (this.#o.maxBytes !== undefined)
      for (const message of value) this.#bufferedBytes -= message.data.length;
    this.#supply();
    return { done: false, value };
  }

  /** Asks for the next messages before the last request is used up, as long as there is room for them. */
  #supply(): void {
    if (this.#stopping || this.#ended || this.#retry !== undefined || !this.#link.up) return;
    const { batch, maxBytes } = this.#o;
    if (this.#asked + this.#buffer.length > batch) return;
    if (maxBytes !== undefined && this.#bufferedBytes >= maxBytes) return;
    if (this.#nothingFits && this.#asked > 0) return;
    this.#asked += this.#nothingFits ? 1 : batch;
    this.#receivedOfRequest = 0;
    this.#link.publish(this.#subject, this.#inbox, '', this.#nothingFits ? this.#lone : this.#request);
    this.#loneAsked = this.#nothingFits;
    this.#nothingFits = false;
  }

  #receive(message: Msg): void {
    if (this.#ended) return;
    this.#heard = true;
    this.#heardMs = performance.now();
    const reply = message.reply;
    if (reply === undefined || !isAckSubject(reply)) this.#onStatus(message);
    else this.#deliver(message, reply);
  }

  #deliver(message: Msg, reply: string): void {
    const delivery = readAckSubject(reply);
    if (delivery === undefined) throw new Error(`an acknowledgement subject that cannot be read: ${reply}`);
    const expected = this.#expected;
    if (expected !== undefined && expected !== delivery.deliverySequence && this.#o.onDoubt !== undefined) {
      this.#doubt(`delivery ${expected} was to come, ${delivery.deliverySequence} came`);
      return;
    }
    this.#expected = delivery.deliverySequence + 1;
    if (this.#asked > 0) this.#asked--;
    this.#receivedOfRequest++;
    this.#answered();
    const pulled = new Pulled(this.#link, message, delivery);
    this.#buffer.push(pulled);
    if (this.#o.maxBytes !== undefined) this.#bufferedBytes += pulled.data.length;
    this.#wake();
    this.#supply();
  }

  /** 100 is a heartbeat; 404, 408, 409 end a request; 503 says that nobody took it; 400 that it is no good. */
  #onStatus(message: Msg): void {
    const headers = rawHeaders(message);
    const status = statusOf(headers);
    if (status === 503) this.#nobodyThere();
    else if (status === 400) this.#refused(headers);
    else this.#answered();
    if (status === 404 || status === 408 || status === 409) this.#onRequestEnd(status, headers);
  }

  #onRequestEnd(status: number, headers: string): void {
    const left = findHeader(headers, 'Nats-Pending-Messages');
    this.#asked = left === '' ? 0 : Math.max(0, this.#asked - Number(left));
    const fruitless = status === 409 && this.#receivedOfRequest === 0;
    this.#nothingFits = fruitless && this.#o.maxBytes !== undefined && !this.#loneAsked;
    if (fruitless && !this.#nothingFits) this.#tryLater();
    else this.#supply();
  }

  #answered(): void {
    this.#silentRequests = 0;
    this.#refusedSinceMs = undefined;
    this.#retryMs = RETRY_MS.first;
  }

  #nobodyThere(): void {
    this.#asked = 0;
    this.#refusedSinceMs ??= performance.now();
    if (performance.now() - this.#refusedSinceMs >= GONE_AFTER_MS) this.#doubt('the consumer is gone');
    this.#tryLater();
  }

  #refused(headers: string): void {
    this.#fail(`the server refuses the pull: ${headers.slice(0, headers.indexOf('\r\n'))}`);
  }

  #tryLater(): void {
    if (this.#ended || this.#retry !== undefined) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#supply();
    }, this.#retryMs).unref();
    this.#retryMs = Math.min(RETRY_MS.most, this.#retryMs * 2);
  }

  /** Makes the request anew when the heartbeats have stopped: the server may have lost it, or be another one now. */
  #listen(): void {
    this.#silentTicks = this.#heard || this.#asked === 0 || !this.#link.up ? 0 : this.#silentTicks + 1;
    this.#heard = false;
    if (this.#silentTicks < SILENT_TICKS) return;
    this.#silentTicks = 0;
    this.#asked = 0;
    if (++this.#silentRequests >= SILENT_REQUESTS) this.#doubt('nobody answers the pull');
    this.#supply();
  }

  #cutOff(): void {
    this.#asked = 0;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#doubt('the connection was lost');
  }

  #doubt(why: string): void {
    const { onDoubt } = this.#o;
    if (onDoubt === undefined || this.#ended || this.#stopping) return;
    this.#end();
    this.#link.guard(() => onDoubt(why));
  }

  /** What will not get better by itself. */
  #fail(why: string, cause?: unknown): void {
    this.#doubt(why);
    if (this.#ended) return;
    this.#failure = new FleetwireError('failed_precondition', 'PULL_REFUSED', `${this.#subject}: ${why}`, {
      cause,
    });
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#tick);
    clearTimeout(this.#retry);
    for (const unlisten of this.#unlisten) unlisten();
    if (!this.#link.closed) this.#subscription?.unsubscribe();
    this.#wake();
  }

  #wake(): void {
    this.#arrived?.resolve();
    this.#arrived = undefined;
  }
}

/** Throws invalid_argument INVALID_PULL for what the server would refuse. */
export function checkPull(o: PullOptions): void {
  const numbers = [o.batch, o.maxBytes ?? 1, o.expiresMs ?? 1000, o.heartbeatMs ?? 100];
  if (numbers.every((n) => Number.isInteger(n) && n > 0)) return;
  throw new FleetwireError(
    'invalid_argument',
    'INVALID_PULL',
    `a pull cannot be made of ${JSON.stringify(o)}`,
  );
}
