/** Tells what happened to nodes, agents and channels, as events for whoever follows them. */

import type { Broker } from '@fleetwire/broker';
import { eventSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { asFleetwireError, type Clock, nowMs } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';

export interface Told {
  readonly org: string;
  readonly name: string;
  /** Id of what it is about. */
  readonly target: string;
  /** Id of a user or a node, or the name of a service. */
  readonly actor: string;
  readonly details?: Readonly<Record<string, string>>;
  /** Stable over repeats: the broker and readers drop what they have seen. */
  readonly id: string;
}

const SERVICE = 'registry';
const WAITING_MAX = 10_000;
const AT_ONCE = 16;

/** Best effort and bounded: events are told after what they tell of is done, and nothing waits for them. */
export class Announcer {
  readonly #o: { publish: Broker['store']; clock: Clock; log: Pick<Logger, 'warn'> };
  readonly #waiting: { subject: string; payload: Uint8Array; id: string }[] = [];
  #working: Promise<void> | undefined;
  #failing = false;

  constructor(o: { publish: Broker['store']; clock: Clock; log: Pick<Logger, 'warn'> }) {
    this.#o = o;
  }

  /** Never throws; what does not fit any more is not told. */
  tell({ org, name, target, actor, details = {}, id }: Told): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.#failed(new Error('too many events wait'));
      return;
    }
    const atMs = nowMs(this.#o.clock);
    const event = { id, org, service: SERVICE, name, atMs, actor, target, details: { ...details } };
    const payload = encode(Event, { ...event, usage: undefined });
    this.#waiting.push({ subject: eventSubject.build({ org, service: SERVICE, name }), payload, id });
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** Resolves when what was told is published, or has failed. */
  async stop(): Promise<void> {
    await this.#working;
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      const some = this.#waiting.splice(0, AT_ONCE);
      await Promise.all(some.map((event) => this.#publish(event)));
    }
  }

  async #publish({ subject, payload, id }: { subject: string; payload: Uint8Array; id: string }) {
    try {
      await this.#o.publish(subject, payload, { msgId: id });
      this.#failing = false;
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (!this.#failing) this.#o.log.warn({ err: asFleetwireError(error) }, 'events cannot be told now');
    this.#failing = true;
  }
}
