/** Tells as events which queues were full: what they ended, counted for each agent and reason over about a second. */

import type { Broker } from '@fleetwire/broker';
import { overflowEvent } from '@fleetwire/contract';
import { asFleetwireError, type Clock, nowMs, slices } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';

export interface OverflowReportParts {
  readonly publish: Broker['store'];
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn'>;
  /** Between two tellings. */
  readonly intervalMs: number;
}

/** What a stored receipt says of it. */
export interface Ended {
  readonly org: string;
  readonly recipient: string;
  readonly reason: string;
  readonly publisher: string;
  /** Of the message in RECEIPTS that it came with. */
  readonly sequence: number;
}

interface Count {
  readonly ended: Ended;
  /** The lowest of its receipts: the same again when they are stored again. */
  sequence: number;
  count: number;
}

export const FULL_QUEUE_REASONS: ReadonlySet<string> = new Set([
  'QUEUE_FULL',
  'QUEUE_OVERFLOW',
  'INBOX_FULL',
]);
const SERVICE = 'delivery';
/** Agents and reasons counted at once; what is beyond goes unsaid, for history has it. */
const COUNTS_MAX = 10_000;
const AT_ONCE = 16;

/**
 * Every receipt that was stored is counted in one event. Where it is stored again, because its acknowledgement was lost, the
 * event mostly has the same id, which the stream drops within a minute; so a count may be too high after a crash.
 */
export class OverflowReport {
  readonly name = 'overflow-report';
  readonly #parts: OverflowReportParts;
  #counts = new Map<string, Count>();
  #timer: NodeJS.Timeout | undefined;
  #telling: Promise<void> = Promise.resolve();

  constructor(parts: OverflowReportParts) {
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

  /** These receipts have been stored. */
  stored(ended: readonly Ended[]): void {
    for (const one of ended) {
      const key = `${one.org} ${one.recipient} ${one.reason}`;
      const known = this.#counts.get(key);
      if (known !== undefined) {
        known.count++;
        known.sequence = Math.min(known.sequence, one.sequence);
      } else if (this.#counts.size < COUNTS_MAX)
        this.#counts.set(key, { ended: one, sequence: one.sequence, count: 1 });
    }
  }

  #next(): void {
    if (this.#counts.size === 0) return;
    const counts = this.#counts;
    this.#counts = new Map();
    this.#telling = this.#telling.then(() => this.#tell([...counts.values()]));
  }

  /** Once: what cannot be told, since the broker is away, was nowhere else urgent. */
  async #tell(counts: readonly Count[]): Promise<void> {
    const { publish, clock, log } = this.#parts;
    for (const slice of slices(counts, AT_ONCE)) {
      const told = slice.map(({ ended, sequence, count }) => {
        const { org, recipient: agent, reason, publisher: node } = ended;
        const id = `${SERVICE}-overflow-${agent}-${reason}-${sequence}`;
        const about = { agent, node, reason, count };
        const { subject, payload } = overflowEvent({
          id,
          org,
          service: SERVICE,
          atMs: nowMs(clock),
          ...about,
        });
        return publish(subject, payload, { msgId: id });
      });
      const failed = (await Promise.allSettled(told)).filter((result) => result.status === 'rejected');
      if (failed.length > 0)
        log.warn({ err: asFleetwireError(failed[0]!.reason), events: failed.length }, 'full queues not told');
    }
  }
}
