/** Tells the audit of receipts that were refused: event `denied`, counted for each node and reason over about a second. */

import type { Broker } from '@fleetwire/broker';
import { EVENT_NAMES, eventSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { asFleetwireError, type Clock, nowMs } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { DoubtRow } from '../store/doubt-table.ts';

export interface DeniedReceiptsParts {
  readonly publish: Broker['store'];
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn'>;
  /** Between two tellings. */
  readonly intervalMs: number;
}

interface Count {
  readonly first: DoubtRow;
  readonly reason: string;
  count: number;
}

const SERVICE = 'delivery';
/** Counted at once; what is beyond is in the dead letters alone. */
const COUNTS_MAX = 1000;

export class DeniedReceipts {
  readonly name = 'denied-receipts';
  readonly #parts: DeniedReceiptsParts;
  #counts = new Map<string, Count>();
  #timer: NodeJS.Timeout | undefined;
  #telling: Promise<void> = Promise.resolve();

  constructor(parts: DeniedReceiptsParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setInterval(() => this.#next(), this.#parts.intervalMs);
  }

  /** Tells what was counted last. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#next();
    await this.#telling;
  }

  add(doubt: DoubtRow, reason: string): void {
    const key = `${doubt.org} ${doubt.publisher} ${reason}`;
    const known = this.#counts.get(key);
    if (known !== undefined) known.count++;
    else if (this.#counts.size < COUNTS_MAX) this.#counts.set(key, { first: doubt, reason, count: 1 });
  }

  #next(): void {
    if (this.#counts.size === 0) return;
    const counts = [...this.#counts.values()];
    this.#counts = new Map();
    this.#telling = this.#telling.then(() => this.#tell(counts));
  }

  /** Once: the dead letters say the same. */
  async #tell(counts: readonly Count[]): Promise<void> {
    const { publish, clock, log } = this.#parts;
    for (const { first, reason, count } of counts) {
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
