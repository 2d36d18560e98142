/** One connection to NATS that never gives up: the only file that knows the inside of the client library. */

import type { BackoffPolicy } from '@fleetwire/kernel';
import { backoffMs, FleetwireError, invariant } from '@fleetwire/kernel';
import type { ConnectionOptions, Msg, NatsConnection, Subscription } from '@nats-io/nats-core';
import { PermissionViolationError } from '@nats-io/nats-core';
import type { NatsConnectionImpl, ProtocolHandler } from '@nats-io/nats-core/internal';
import { connect } from '@nats-io/transport-node';

export type RawHandler = (message: Msg, refused?: Error) => void;

export interface LinkOptions {
  readonly connection: ConnectionOptions;
  readonly reconnect: BackoffPolicy;
  /** Gets what a listener or handler of ours threw: a fault in the program. */
  readonly onFault: (error: unknown) => void;
}

/** Rights of the connection's user that the server found lacking. */
export interface Refusal {
  readonly operation: string;
  readonly subject: string;
}

const CRLF = new Uint8Array([13, 10]);
const NOTHING = new Uint8Array(0);
const NO_SUBJECT = /\s|^$/;
/** How long a connection that no longer answers may take to close before its socket is destroyed. */
const STALE_CLOSE_MS = 250;

/**
 * Publishes only while the connection is known to be up: what is written while it is away is refused, never kept for
 * later. Order on a loss: `onDown` listeners in the order in which they were added; on return `onUp`, after the
 * generation has grown and before anything else is published.
 */
export class Link {
  readonly #connection: NatsConnection;
  readonly #protocol: ProtocolHandler;
  readonly #onFault: (error: unknown) => void;
  readonly #down = new Set<() => void>();
  readonly #upAgain = new Set<(generation: number) => void>();
  readonly #closed = new Set<(error?: Error) => void>();
  readonly #refused = new Set<(refusal: Refusal) => void>();
  #up = true;
  #generation = 1;
  /** Shared with the library's delay handler: tries since the connection was last up. */
  readonly #tries: { count: number };

  private constructor(connection: NatsConnection, tries: { count: number }, onFault: (e: unknown) => void) {
    this.#connection = connection;
    this.#protocol = (connection as NatsConnectionImpl).protocol;
    invariant(typeof this.#protocol?.connected === 'boolean', 'the client library is not the pinned version');
    this.#tries = tries;
    this.#onFault = onFault;
    void this.#follow();
    void connection.closed().then((error) => {
      this.#goDown();
      for (const listener of this.#closed) this.guard(() => listener(error ?? undefined));
    });
  }

  /** One try; rejects with the library's error. */
  static async open(o: LinkOptions): Promise<Link> {
    const tries = { count: 0 };
    const connection = await connect({
      ...o.connection,
      reconnect: true,
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: true,
      reconnectDelayHandler: () => (tries.count <= 1 ? 0 : backoffMs(o.reconnect, tries.count - 2)),
      noAsyncTraces: true,
    });
    return new Link(connection, tries, o.onFault);
  }

  get serverVersion(): string {
    return this.#connection.info?.version ?? '';
  }

  /** Bytes of headers and payload together that the server takes. */
  get maxPayload(): number {
    return this.#protocol.info?.max_payload ?? 0;
  }

  get up(): boolean {
    return this.#up && this.#protocol.connected && !this.#protocol.noMorePublishing;
  }

  get closed(): boolean {
    return this.#connection.isClosed();
  }

  get generation(): number {
    return this.#generation;
  }

  onDown(listener: () => void): () => void {
    return add(this.#down, listener);
  }

  onUp(listener: (generation: number) => void): () => void {
    return add(this.#upAgain, listener);
  }

  onClosed(listener: (error?: Error) => void): () => void {
    return add(this.#closed, listener);
  }

  onRefused(listener: (refusal: Refusal) => void): () => void {
    return add(this.#refused, listener);
  }

  /**
   * Writes one message; `headers` is an encoded block or ''. Throws unavailable NOT_CONNECTED, invalid_argument
   * PAYLOAD_TOO_LARGE or INVALID_SUBJECT; then nothing was sent. What it returns from may still be lost on the way.
   */
  publish(subject: string, reply: string, headers: string, payload: Uint8Array): void {
    if (!this.up) throw notConnected();
    if (NO_SUBJECT.test(subject)) throw invalidSubject(subject);
    const answer = reply === '' ? '' : ` ${reply}`;
    if (headers === '') {
      this.#checkSize(payload.length);
      this.#protocol.sendCommand(`PUB ${subject}${answer} ${payload.length}\r\n`, payload, CRLF);
      return;
    }
    const headerBytes = Buffer.byteLength(headers);
    const total = headerBytes + payload.length;
    this.#checkSize(total);
    this.#protocol.sendCommand(
      `HPUB ${subject}${answer} ${headerBytes} ${total}\r\n${headers}`,
      payload,
      CRLF,
    );
  }

  /** An empty message such as an acknowledgement, when the connection is up; false when it is not. */
  signal(subject: string): boolean {
    if (!this.up) return false;
    this.#protocol.sendCommand(`PUB ${subject} 0\r\n\r\n`, NOTHING);
    return true;
  }

  /** The subscription outlives reconnects. A handler that throws is a fault, and stops nothing else. */
  subscribe(filter: string, handler: RawHandler, queue?: string): Subscription {
    const callback = (error: Error | null, message: Msg) => {
      try {
        handler(message, error ?? undefined);
      } catch (fault) {
        this.#onFault(fault);
      }
    };
    if (this.closed) throw notConnected();
    if (NO_SUBJECT.test(filter)) throw invalidSubject(filter);
    return this.#connection.subscribe(filter, queue === undefined ? { callback } : { callback, queue });
  }

  /** Runs a listener; what it throws is a fault, and stops nothing else: the library would stop reading. */
  guard(run: () => void): void {
    try {
      run();
    } catch (fault) {
      this.#onFault(fault);
    }
  }

  /** Sends what is written and closes; when the server does not answer within `ms`, closes all the same. */
  async drain(ms: number): Promise<void> {
    if (this.closed) return;
    const drained = this.up ? this.#connection.drain().catch(() => undefined) : Promise.resolve();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([drained, late]);
    clearTimeout(timer);
    await this.close();
  }

  async close(): Promise<void> {
    this.#goDown();
    await this.#connection.close();
  }

  #checkSize(bytes: number): void {
    if (bytes <= this.maxPayload) return;
    throw new FleetwireError(
      'invalid_argument',
      'PAYLOAD_TOO_LARGE',
      `${bytes} bytes are more than the ${this.maxPayload} that the NATS server takes`,
    );
  }

  async #follow(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type === 'disconnect') this.#goDown();
      else if (status.type === 'reconnect') this.#goUp();
      else if (status.type === 'reconnecting') this.#tries.count++;
      else if (status.type === 'staleConnection') this.#destroyStale();
      else if (status.type === 'error' && status.error instanceof PermissionViolationError) {
        const { operation, subject } = status.error;
        for (const listener of this.#refused) this.guard(() => listener({ operation, subject }));
      }
    }
  }

  #goDown(): void {
    if (!this.#up) return;
    this.#up = false;
    for (const listener of new Set(this.#down)) this.guard(listener);
  }

  #goUp(): void {
    if (this.#up || !this.#protocol.connected) return;
    this.#up = true;
    this.#tries.count = 0;
    this.#generation++;
    for (const listener of new Set(this.#upAgain)) this.guard(() => listener(this.#generation));
  }

  /** The library first waits for its last write, which on a cut network may take many minutes. */
  #destroyStale(): void {
    const stale = this.#protocol.transport as unknown as { socket?: { destroy(): void } };
    setTimeout(() => stale.socket?.destroy(), STALE_CLOSE_MS).unref();
  }
}

function invalidSubject(subject: string): FleetwireError {
  return new FleetwireError(
    'invalid_argument',
    'INVALID_SUBJECT',
    `${JSON.stringify(subject)} is not a subject`,
  );
}

export function notConnected(): FleetwireError {
  return new FleetwireError('unavailable', 'NOT_CONNECTED', 'there is no connection to NATS at the moment', {
    retryAfterMs: 500,
  });
}

function add<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
