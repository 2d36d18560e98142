/** Heartbeats: core NATS requests, shared by all registries; bounded in number and size, each answered with what is new. */

import type { Broker, CoreMessage, Subscription } from '@fleetwire/broker';
import { filters, heartbeatSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Heartbeat, HeartbeatReply } from '@fleetwire/gen/message';
import { asFleetwireError, type Clock } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { RegistryConfig } from '../config.ts';
import { Allowance } from '../domain/allowance.ts';

export interface HeartbeatsOptions {
  readonly answer: (beat: Heartbeat, from: { org: string; node: string }) => Promise<HeartbeatReply>;
  readonly broker: Pick<Broker, 'subscribe'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: Pick<
    RegistryConfig,
    'heartbeats_max' | 'heartbeats_burst' | 'heartbeats_every_ms' | 'known_nodes_max'
  >;
}

const QUEUE = 'registry';
/** One with all facts that are allowed is smaller. */
const BYTES_MAX = 64 * 1024;
const SAY_AGAIN_MS = 60_000;

export class Heartbeats {
  readonly name = 'heartbeats';
  readonly #options: HeartbeatsOptions;
  readonly #allowed: Allowance;
  readonly #underway = new Set<Promise<void>>();
  #subscription: Subscription | undefined;
  #unanswered = 0;
  #malformed = 0;
  #saidAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: HeartbeatsOptions) {
    const { heartbeats_burst: burst, heartbeats_every_ms: everyMs, known_nodes_max: max } = options.config;
    this.#options = options;
    this.#allowed = new Allowance({ burst, everyMs, max });
  }

  start(): void {
    this.#subscription = this.#options.broker.subscribe(filters.allHeartbeats, (m) => this.#take(m), {
      queue: QUEUE,
    });
  }

  async stop(): Promise<void> {
    await this.#subscription?.drain();
    await Promise.all(this.#underway);
  }

  /** Heartbeats that got no answer: malformed, too many at once, or of an unknown node while PostgreSQL was away. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /** Of these, those that could not be read. */
  get malformed(): number {
    return this.#malformed;
  }

  #take(message: CoreMessage): void {
    const { config, clock, log, answer } = this.#options;
    const from = heartbeatSubject.parse(message.subject);
    if (from === undefined) {
      this.#refuse(message, 'no such subject');
      return;
    }
    if (this.#underway.size >= config.heartbeats_max) {
      this.#unanswered++;
      return;
    }
    const tooMany = this.#allowed.take(from.node, clock.monotonicMs());
    if (tooMany !== undefined) {
      this.#unanswered++;
      if (tooMany.first) log.warn(from, 'a node sends too many heartbeats');
      return;
    }
    const beat = decoded(message.data);
    if (beat === undefined || beat.node !== from.node) {
      this.#refuse(message, 'it cannot be read');
      return;
    }
    const work = answer(beat, from)
      .then((reply) => void message.respond(encode(HeartbeatReply, reply)))
      .catch((error: unknown) => {
        this.#unanswered++;
        log.warn({ err: asFleetwireError(error) }, 'a heartbeat was not answered');
      });
    this.#underway.add(work);
    void work.finally(() => this.#underway.delete(work));
  }

  /** Counted, and said once a minute. */
  #refuse({ subject, data }: CoreMessage, why: string): void {
    this.#unanswered++;
    this.#malformed++;
    const now = this.#options.clock.monotonicMs();
    if (now - this.#saidAtMs < SAY_AGAIN_MS) return;
    this.#saidAtMs = now;
    const fields = { subject: subject.slice(0, 200), bytes: data.length, why, malformed: this.#malformed };
    this.#options.log.warn(fields, 'a heartbeat is malformed');
  }
}

function decoded(data: Uint8Array): Heartbeat | undefined {
  if (data.length > BYTES_MAX) return undefined;
  try {
    return Heartbeat.decode(data);
  } catch {
    return undefined;
  }
}
