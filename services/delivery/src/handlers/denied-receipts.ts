/** Tells the audit of receipts that were refused: event `denied`, counted for each node and reason over about a second. */

import type { Broker } from '@fleetwire/broker';
import { EVENT_NAMES, eventSubject, type StreamName } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { asFleetwireError, type Clock, nowMs } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { NodeWord, RejectDesk } from './reject-desk.ts';
import { type Counted, Tally } from './tally.ts';

export interface DeniedReceiptsParts {
  readonly publish: Broker['store'];
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn'>;
  /** Between two tellings. */
  readonly intervalMs: number;
}

/** With the place that names it. */
export interface DeniedWord extends NodeWord {
  readonly org: string;
  readonly stream: StreamName;
  readonly sequence: number;
  readonly part: number;
}

interface Denied {
  readonly first: DeniedWord;
  readonly reason: string;
}

const SERVICE = 'delivery';
/** Counted at once; what is beyond is in the metrics and dead letters alone. */
const COUNTS_MAX = 1000;

export class DeniedReceipts {
  readonly name = 'denied-receipts';
  readonly #parts: DeniedReceiptsParts;
  readonly #tally: Tally<Denied>;

  constructor(parts: DeniedReceiptsParts) {
    this.#parts = parts;
    const tell = (denied: readonly Counted<Denied>[]) => this.#tell(denied);
    this.#tally = new Tally({ intervalMs: parts.intervalMs, max: COUNTS_MAX, tell });
  }

  start(): void {
    this.#tally.start();
  }

  /** Tells what was counted last. */
  stop(): Promise<void> {
    return this.#tally.stop();
  }

  add(word: DeniedWord, reason: string): void {
    this.#tally.add(`${word.org} ${word.publisher} ${reason}`, { first: word, reason });
  }

  /** As `desk`; what of it nodes have said is told of once it is recorded. */
  tellOf(desk: RejectDesk): RejectDesk {
    return {
      take: async (what, rejected, stopping) => {
        if (!(await desk.take(what, rejected, stopping))) return false;
        for (const { org, stream, sequence, part, reason, word } of rejected)
          if (word !== undefined) this.add({ org, stream, sequence, part, ...word }, reason);
        return true;
      },
    };
  }

  /** Once: metrics and the log say the same. */
  async #tell(denied: readonly Counted<Denied>[]): Promise<void> {
    const { publish, clock, log } = this.#parts;
    for (const { thing, count } of denied) {
      const { first, reason } = thing;
      const { org, publisher: actor, recipient: target, messageId: message, stream, sequence, part } = first;
      const event = Event.fromPartial({
        id: `${SERVICE}-denied-${stream}-${sequence}-${part}`,
        org,
        service: SERVICE,
        name: EVENT_NAMES.denied,
        atMs: nowMs(clock),
        actor,
        target,
        details: { action: 'receipt', reason, message, count: String(count) },
      });
      try {
        const subject = eventSubject.build({ org, service: SERVICE, name: event.name });
        await publish(subject, encode(Event, event), { msgId: event.id });
      } catch (error) {
        log.warn({ err: asFleetwireError(error), org, actor, reason, count }, 'refused receipts not told');
      }
    }
  }
}
