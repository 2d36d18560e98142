/** Following a stream by the command line: a key of its own for each place, credentials that are renewed, messages one by one. */

import { type Broker, connectBroker, type PulledMessage } from '@fleetwire/broker';
import type { StreamName } from '@fleetwire/contract';
import type { OpenSubscriptionRequest, OpenSubscriptionResponse } from '@fleetwire/gen/registry';
import { asFleetwireError, FleetwireError, pause } from '@fleetwire/kernel';
import type { CommandContext } from './command-context.ts';
import { renewSubscriberKey, type SubscriberKey, subscriberKey } from './subscriber-key.ts';

export type Asked = Omit<OpenSubscriptionRequest, 'publicKey' | 'ttlS'>;

const RENEW_MIN_MS = 10_000;
const REOPEN_MS = 2_000;
/** A server without accounts drops nobody whose place is closed: so often it is looked whether it is there. */
const LOOK_MS = 5_000;
const BATCH = 100;

export interface Following {
  /** Where the key of the place is kept. */
  readonly keyFile: string;
  /** Of the place that is followed by this key. */
  asked(key: SubscriberKey): Asked;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** It begins, or goes on. */
  opened(opened: OpenSubscriptionResponse): void;
  /** Resolves with false: that was the last one. What it takes is acknowledged. */
  take(message: PulledMessage): boolean;
}

/**
 * Rejects with what the registry refuses, also later: SUBSCRIPTION_CLOSED when the place was closed or another one has it, or the
 * person may not any more; with what `subscriberKey` rejects.
 */
export async function followStream(context: CommandContext, o: Following): Promise<void> {
  const ended = new AbortController();
  const signal = AbortSignal.any([o.signal, ended.signal]);
  const key = await subscriberKey(o.keyFile);
  const place = new Place(context, o, key, (error) => ended.abort(error));
  const opened = await place.begin();
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
  #key: SubscriberKey;
  readonly #over = new AbortController();
  #renewal: NodeJS.Timeout | undefined;
  #reopening = false;

  constructor(
    context: CommandContext,
    o: Following,
    key: SubscriberKey,
    failed: (error: FleetwireError) => void,
  ) {
    this.#context = context;
    this.#o = o;
    this.#key = key;
    this.#failed = failed;
  }

  /**
   * With a new key where that of the last run was shut out and its place was closed since. One that another key follows is left
   * to that: two programs that start again and again would take it from each other for ever.
   */
  async begin(): Promise<OpenSubscriptionResponse> {
    try {
      return await this.#open();
    } catch (error) {
      if (!isShutOut(error)) throw error;
      await this.#requireFree();
      this.#key = await renewSubscriberKey(this.#o.keyFile);
      return this.#open();
    }
  }

  async #requireFree(): Promise<void> {
    const { registry } = await this.#context.hub();
    const { what, name } = this.#o.asked(this.#key);
    const { subscriptions } = await registry.listSubscriptions({});
    if (subscriptions.some((one) => one.what === what && one.name === name && !one.lapsed))
      throw followed(what, name);
  }

  async #open(): Promise<OpenSubscriptionResponse> {
    const { publicKey, seed } = this.#key;
    const { registry } = await this.#context.hub();
    const opened = await registry.openSubscription({ ...this.#o.asked(this.#key), publicKey });
    this.credentials = { jwt: opened.userJwt, seed: new TextEncoder().encode(seed) };
    clearTimeout(this.#renewal);
    const lifeMs = opened.userJwtExpiresAtMs - Date.now();
    const againMs = opened.userJwt === '' ? LOOK_MS : Math.max(RENEW_MIN_MS, lifeMs / 2);
    this.#renewal = setTimeout(() => this.reopenSoon(), againMs).unref();
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
        const { resumed } = await this.#open();
        return resumed ? undefined : this.#failed(closed());
      } catch (thrown) {
        const error = asFleetwireError(thrown);
        if (error.kind === 'unavailable' || error.kind === 'deadline_exceeded') continue;
        return this.#failed(isShutOut(error) ? closed(error) : error);
      }
    }
  }
}

/** Whoever closes a place, or takes it over, shuts out the key that it had. */
const isShutOut = (error: unknown): boolean => asFleetwireError(error).reason === 'SUBSCRIBER_KEY_USED';

const followed = (what: string, name: string): FleetwireError =>
  new FleetwireError(
    'already_exists',
    'SUBSCRIPTION_FOLLOWED',
    `another program, or another machine, follows ${what} as "${name}" by now`,
    {
      help: `Choose another --name, or end that one first: fleetwire subscription close ${what} ${name}`,
    },
  );

const closed = (cause?: unknown): FleetwireError =>
  new FleetwireError(
    'aborted',
    'SUBSCRIPTION_CLOSED',
    'the subscription was closed, or another program has it now',
    {
      help: 'Begin again, by another name where others use this one: what was said in between is not told.',
      cause,
    },
  );
