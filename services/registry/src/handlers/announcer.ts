/** Tells what happens to nodes and agents as events: after the fact, as well as that goes, never in anybody's way. */

import type { Broker } from '@fleetwire/broker';
import { type EventName, eventSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { asFleetwireError, backoffMs, type Clock, nowMs, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';

export interface AnnouncerOptions {
  readonly publish: Broker['store'];
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn'>;
  /** Events that wait; of more the oldest are dropped. Default 1000. */
  readonly max?: number;
}

export interface Told {
  readonly org: string;
  /** The last token of the subject, such as node_joined. */
  readonly name: EventName<'registry'>;
  /** What it is about: an id. */
  readonly target: string;
  /** Id of a user, or `registry`. */
  readonly actor: string;
  readonly details?: Record<string, string>;
  /** The same for the same fact, whoever tells it; default: this can happen to it once. */
  readonly id?: string;
}

const SERVICE = 'registry';
const MAX = 1000;
/** Published at the same time. */
const AT_ONCE = 100;
/** A caller that waits for room waits so long at most. */
const ROOM_MS = 5000;
const TRIES = 3;
const AGAIN = { initialMs: 100, maxMs: 2000 } as const;

export class Announcer {
  readonly name = 'events';
  readonly #options: AnnouncerOptions;
  readonly #stopping = new AbortController();
  #waiting: Event[] = [];
  #telling: Promise<void> | undefined;
  #dropped = 0;
  #said = false;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  start(): void {
    // Works whenever there is something to tell.
  }

  /** Events that were not told, since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** At once; it is told by and by, in order as long as the broker takes it at the first try. */
  tell({ details = {}, id, ...event }: Told): void {
    const atMs = nowMs(this.#options.clock);
    this.#waiting.push({
      ...event,
      id: id ?? `${event.name}-${event.target}`,
      service: SERVICE,
      atMs,
      details,
      usage: undefined,
    });
    if (this.#waiting.length > (this.#options.max ?? MAX)) {
      this.#waiting.shift();
      this.#drop(new Error('too many wait'));
    }
    this.#telling ??= this.#work().finally(() => {
      this.#telling = undefined;
    });
  }

  /** For who tells of many: resolves when there is room for half of the bound, or after a while all the same. */
  async room(): Promise<void> {
    if (this.#waiting.length <= (this.#options.max ?? MAX) / 2) return;
    await Promise.race([this.#telling, pause(ROOM_MS, this.#stopping.signal)]);
  }

  /** Resolves when what waits is told or given up. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#telling;
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      const some = this.#waiting.splice(0, AT_ONCE);
      const done = await Promise.allSettled(some.map((event) => this.#publish(event)));
      for (const one of done) if (one.status === 'rejected') this.#drop(one.reason);
      if (done.every(({ status }) => status === 'fulfilled')) this.#said = false;
    }
  }

  async #publish(event: Event): Promise<void> {
    const { org, service, name, id } = event;
    for (let tries = 0; ; tries++) {
      try {
        const subject = eventSubject.build({ org, service, name });
        await this.#options.publish(subject, encode(Event, event), { msgId: id });
        return;
      } catch (error) {
        if (tries === TRIES - 1 || this.#stopping.signal.aborted) throw error;
        await pause(backoffMs(AGAIN, tries), this.#stopping.signal);
      }
    }
  }

  #drop(error: unknown): void {
    this.#dropped++;
    if (!this.#said)
      this.#options.log.warn({ err: asFleetwireError(error) }, 'events of the registry are not told');
    this.#said = true;
  }
}
