/** Tells the audit of denied messages: events `denied`, after the fact and in nobody's way. */

import type { Broker } from '@fleetwire/broker';
import { EVENT_NAMES, eventSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { backoffMs, type Clock, causeChain, newId, nowMs, pause, repeatEvery } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { CountedDenial, DenialTally } from '../domain/denial-tally.ts';
import { SERVICE } from '../domain/items.ts';

export interface DenialEventsOptions {
  readonly store: Broker['store'];
  readonly clock: Clock;
  readonly tally: DenialTally;
  readonly log: Pick<Logger, 'warn'>;
}

const LOOK_MS = 250;
/** Stored at the same time: few, since mail goes first. */
const AT_ONCE = 8;
/** Events that wait while EVENTS takes none; more are dropped, and counted. */
const WAITING_MAX = 1000;
const TRIES = 3;
const AGAIN = { initialMs: 100, maxMs: 2000 } as const;

export class DenialEvents {
  readonly name = 'denials';
  readonly #o: DenialEventsOptions;
  readonly #stopping = new AbortController();
  #waiting: CountedDenial[] = [];
  #telling: Promise<void> | undefined;
  #told = 0;
  #dropped = 0;

  constructor(options: DenialEventsOptions) {
    this.#o = options;
  }

  /** Events since the start. */
  get figures(): { readonly told: number; readonly dropped: number } {
    return { told: this.#told, dropped: this.#dropped };
  }

  start(): void {
    this.#telling = repeatEvery(LOOK_MS, this.#stopping.signal, () => this.#tell(false));
  }

  /** What was only counted so far is told as well. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#telling;
    await this.#tell(true);
  }

  async #tell(all: boolean): Promise<void> {
    for (const denial of this.#o.tally.take(nowMs(this.#o.clock), all)) {
      if (this.#waiting.length < WAITING_MAX) this.#waiting.push(denial);
      else this.#drop('too many wait');
    }
    while (this.#waiting.length > 0) {
      const some = this.#waiting.splice(0, AT_ONCE);
      const done = await Promise.allSettled(some.map((denial) => this.#publish(denial)));
      for (const each of done) if (each.status === 'rejected') this.#drop(causeChain(each.reason));
    }
  }

  async #publish(denial: CountedDenial): Promise<void> {
    const event = eventOf(denial, newId('event'), nowMs(this.#o.clock));
    const subject = eventSubject.build({ org: event.org, service: event.service, name: event.name });
    for (let tries = 0; ; tries++) {
      try {
        await this.#o.store(subject, encode(Event, event), { msgId: event.id });
        this.#told++;
        return;
      } catch (error) {
        if (tries === TRIES - 1 || this.#stopping.signal.aborted) throw error;
        await pause(backoffMs(AGAIN, tries), this.#stopping.signal);
      }
    }
  }

  #drop(why: string): void {
    if (this.#dropped++ % 1000 === 0) this.#o.log.warn({ why }, 'the audit is not told of denied messages');
  }
}

function eventOf(denial: CountedDenial, id: string, atMs: number): Event {
  const { org, actor, actorName, target, targetName, decision, count } = denial;
  return Event.fromPartial({
    id,
    org,
    service: SERVICE,
    name: EVENT_NAMES.denied,
    atMs,
    actor,
    target,
    details: {
      action: 'message',
      reason: decision.reason,
      policy: decision.matchedPolicy,
      explanation: decision.explanation,
      actor_name: actorName,
      target_name: targetName,
      count: String(count),
    },
  });
}
