/**
 * Heartbeats: core NATS requests, shared by all registries; the answer brings the time, in time new credentials, and what
 * of the org's tokens is revoked.
 */

import type { Broker, CoreMessage, Subscription } from '@fleetwire/broker';
import { filters, heartbeatSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Heartbeat, HeartbeatReply } from '@fleetwire/gen/message';
import { trustDigest } from '@fleetwire/identity';
import { asFleetwireError, nowMs } from '@fleetwire/kernel';
import { isClosed } from '../domain/orgs.ts';
import type { KnownNodes } from './known-nodes.ts';
import type { RegistryParts } from './parts.ts';

const QUEUE = 'registry';

type HeartbeatParts = Pick<
  RegistryParts,
  'lastSeen' | 'moving' | 'mint' | 'clock' | 'log' | 'config' | 'orgs' | 'jwks'
> & {
  readonly known: KnownNodes;
  readonly broker: Pick<Broker, 'subscribe'>;
};

export class Heartbeats {
  readonly name = 'heartbeats';
  readonly #parts: HeartbeatParts;
  readonly #underway = new Set<Promise<void>>();
  #subscription: Subscription | undefined;
  #unanswered = 0;

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#subscription = this.#parts.broker.subscribe(filters.allHeartbeats, (m) => this.#take(m), {
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

  #take(message: CoreMessage): void {
    if (this.#underway.size >= this.#parts.config.heartbeats_max) {
      this.#unanswered++;
      return;
    }
    const work = this.#answer(message).catch((error: unknown) => {
      this.#unanswered++;
      this.#parts.log.warn({ err: asFleetwireError(error) }, 'a heartbeat was not answered');
    });
    this.#underway.add(work);
    void work.finally(() => this.#underway.delete(work));
  }

  async #answer(message: CoreMessage): Promise<void> {
    const from = heartbeatSubject.parse(message.subject);
    if (from === undefined) return;
    const beat = Heartbeat.decode(message.data);
    const node = await this.#parts.known.get(from.node);
    const org = this.#parts.orgs.get(from.org);
    const known = node !== null && node.org === from.org && !isClosed(org);
    if (known) this.#parts.lastSeen.note(node.id, nowMs(this.#parts.clock));
    const userJwt = known ? await this.#renewal(node, beat.credentialsLeftS) : '';
    const brokerTimeUs = this.#parts.clock.nowUs();
    const told = { revocations: org?.state.revocations ?? [], orgStatus: org?.status ?? '' };
    const digest = trustDigest(this.#parts.jwks());
    const moving = known ? this.#parts.moving.departed.of(node.id) : [];
    const reply = { brokerTimeUs, userJwt, known, ...told, trustDigest: digest, moving };
    message.respond(encode(HeartbeatReply, HeartbeatReply.fromPartial(reply)));
  }

  async #renewal(node: Parameters<RegistryParts['mint']>[0], leftS: number): Promise<string> {
    if (leftS >= this.#parts.config.credentials_ttl_s / 2) return '';
    return (await this.#parts.mint(node)).jwt;
  }
}
