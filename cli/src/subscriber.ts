/** Following a stream by the command line: a key of its own for each place, credentials that are renewed, messages one by one. */

import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Broker, connectBroker, type PulledMessage } from '@fleetwire/broker';
import type { StreamName } from '@fleetwire/contract';
import type { OpenSubscriptionRequest, OpenSubscriptionResponse } from '@fleetwire/gen/registry';
import { createNodeKey, publicNodeKey } from '@fleetwire/identity';
import { asFleetwireError, FleetwireError, pause } from '@fleetwire/kernel';
import type { CommandContext } from './command-context.ts';
import { putFile } from './files.ts';

export interface SubscriberKey {
  readonly publicKey: string;
  readonly seed: string;
}

/** The key of this file, which is made when it is not there: so the next run is the same subscriber. */
export async function keyIn(folder: string, file: string): Promise<SubscriberKey> {
  const path = join(folder, file);
  const seed = await readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );
  const publicKey = seed === undefined ? undefined : publicNodeKey(seed);
  if (seed !== undefined && publicKey !== undefined) return { publicKey, seed };
  const key = createNodeKey();
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await putFile(path, `${key.seed}\n`);
  return key;
}

export type Asked = Omit<OpenSubscriptionRequest, 'publicKey' | 'ttlS'>;

const RENEW_MIN_MS = 10_000;
const REOPEN_MS = 2_000;
const BATCH = 100;

export interface Following {
  readonly key: SubscriberKey;
  readonly asked: Asked;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** It begins, or goes on. */
  opened(opened: OpenSubscriptionResponse): void;
  /** Resolves with false: that was the last one. What it takes is acknowledged. */
  take(message: PulledMessage): boolean;
}

/** Rejects with what the registry refuses, also later: another one has the place, or the person may not any more. */
export async function followStream(context: CommandContext, o: Following): Promise<void> {
  const ended = new AbortController();
  const signal = AbortSignal.any([o.signal, ended.signal]);
  const place = new Place(context, o, (error) => ended.abort(error));
  const opened = await place.open();
  o.opened(opened);
  const broker = await connectBroker({
    urls: opened.natsUrls,
    name: 'fleetwire subscribe',
    inboxPrefix: opened.inboxPrefix,
    ...(opened.userJwt === '' ? {} : { credentials: () => place.credentials }),
  });
  broker.onDisconnect(() => place.reopenSoon());
  try {
    await pullAll(broker, opened, o, signal);
  } finally {
    place.stop();
    await broker.drain().catch(() => undefined);
  }
  if (ended.signal.aborted) throw ended.signal.reason;
}

async function pullAll(
  broker: Broker,
  { subscription, jetstreamDomain: domain }: OpenSubscriptionResponse,
  o: Following,
  signal: AbortSignal,
): Promise<void> {
  const { stream, consumer } = subscription!;
  const pull = broker.pull(stream as StreamName, consumer, { batch: BATCH, domain });
  const stop = () => void pull.stop();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  let more = true;
  for await (const messages of pull)
    for (const message of messages) {
      if (more && !signal.aborted) {
        more = o.take(message);
        message.ack();
        if (!more) stop();
      } else {
        // For whoever comes next, without the wait for what is not acknowledged.
        message.nak();
      }
    }
}

/** The place as the registry has it, and credentials that are good. */
class Place {
  credentials = { jwt: '', seed: new Uint8Array() };
  readonly #context: CommandContext;
  readonly #o: Following;
  readonly #failed: (error: FleetwireError) => void;
  readonly #over = new AbortController();
  #renewal: NodeJS.Timeout | undefined;
  #reopening = false;

  constructor(context: CommandContext, o: Following, failed: (error: FleetwireError) => void) {
    this.#context = context;
    this.#o = o;
    this.#failed = failed;
  }

  async open(): Promise<OpenSubscriptionResponse> {
    const { key, asked } = this.#o;
    const { registry } = await this.#context.hub();
    const opened = await registry.openSubscription({ ...asked, publicKey: key.publicKey });
    this.credentials = { jwt: opened.userJwt, seed: new TextEncoder().encode(key.seed) };
    clearTimeout(this.#renewal);
    const lifeMs = opened.userJwtExpiresAtMs - Date.now();
    if (opened.userJwt !== '')
      this.#renewal = setTimeout(() => this.reopenSoon(), Math.max(RENEW_MIN_MS, lifeMs / 2)).unref();
    return opened;
  }

  /** With a token that is made anew; again and again while the registry is away. */
  reopenSoon(): void {
    if (this.#reopening || this.#over.signal.aborted) return;
    this.#reopening = true;
    void this.#reopen().finally(() => {
      this.#reopening = false;
    });
  }

  stop(): void {
    clearTimeout(this.#renewal);
    this.#over.abort();
  }

  async #reopen(): Promise<void> {
    while (!this.#over.signal.aborted) {
      await pause(REOPEN_MS, this.#over.signal);
      if (this.#over.signal.aborted) return;
      this.#context.renewHub();
      try {
        const { resumed } = await this.open();
        if (resumed) return;
        throw new FleetwireError('aborted', 'SUBSCRIPTION_CLOSED', 'the subscription was closed', {
          help: 'Begin again: what was said in between is not told.',
        });
      } catch (thrown) {
        const error = asFleetwireError(thrown);
        if (error.kind === 'unavailable' || error.kind === 'deadline_exceeded') continue;
        return this.#failed(error);
      }
    }
  }
}
