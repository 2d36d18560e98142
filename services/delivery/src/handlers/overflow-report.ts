/** Tells as events which queues were full: what they ended, counted for each agent and reason over about a second. */

import type { Broker } from '@fleetwire/broker';
import { overflowEvent } from '@fleetwire/contract';
import { asFleetwireError, type Clock, nowMs, slices } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import { type Counted, Tally } from './tally.ts';

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
  readonly #tally: Tally<Ended>;

  constructor(parts: OverflowReportParts) {
    this.#parts = parts;
    const tell = (ended: readonly Counted<Ended>[]) => this.#tell(ended);
    // By the lowest of its receipts it has the same id when they are stored again.
    const earlier = (one: Ended, other: Ended) => (other.sequence < one.sequence ? other : one);
    this.#tally = new Tally({ intervalMs: parts.intervalMs, max: COUNTS_MAX, tell, earlier });
  }

  start(): void {
    this.#tally.start();
  }

  /** Tells what was counted last. */
  stop(): Promise<void> {
    return this.#tally.stop();
  }

  /** These receipts have been stored. */
  stored(ended: readonly Ended[]): void {
    for (const one of ended) this.#tally.add(`${one.org} ${one.recipient} ${one.reason}`, one);
  }

  /** Once: what cannot be told, since the broker is away, was nowhere else urgent. */
  async #tell(all: readonly Counted<Ended>[]): Promise<void> {
    const { publish, clock, log } = this.#parts;
    for (const slice of slices(all, AT_ONCE)) {
      const told = slice.map(({ thing, count }) => {
        const { org, recipient: agent, reason, publisher: node, sequence } = thing;
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
