/** Takes what can never become history: counts it, says so in the log, and keeps it as a dead letter. */

import type { Broker } from '@fleetwire/broker';
import type { StreamName } from '@fleetwire/contract';
import { deadSubject, UNKNOWN_RECIPIENT } from '@fleetwire/contract';
import { DeadLetter } from '@fleetwire/gen/message';
import type { BackoffPolicy } from '@fleetwire/kernel';
import { backoffMs, causeChain, hashOf, pause, slices } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';

export interface Rejected {
  readonly org: string;
  readonly reason: string;
  readonly detail: string;
  readonly stream: StreamName;
  readonly sequence: number;
  /** Which part of the message it was, counted from 0. */
  readonly part: number;
  readonly subject: string;
  readonly bytes: Uint8Array;
  /** False where another part of the fabric keeps it already, or where it is a dead letter itself. */
  readonly keep: boolean;
}

export interface RejectDesk {
  /** True when all of it is recorded; false when stopped before that. */
  take(what: string, rejected: readonly Rejected[], stopping: AbortSignal): Promise<boolean>;
}

/** Bytes of an undecodable thing kept in a dead letter: publishing must stay within the server's bound. */
const KEPT_BYTES_MAX = 1024 * 1024;
/** Publishes under way: with what they hold, no more than that many times its bytes. */
const AT_ONCE = 16;
const BACKOFF: BackoffPolicy = { initialMs: 100, maxMs: 5000 };

/** `count` is called once for each reason with how many there were. */
export function createRejectDesk(
  broker: Broker,
  log: Logger,
  count: (reason: string, number: number) => void,
): RejectDesk {
  return {
    take: async (what, rejected, stopping) => {
      for (const some of slices(
        rejected.filter((item) => item.keep),
        AT_ONCE,
      )) {
        const kept = await Promise.all(some.map((item) => keep(broker, log, item, stopping)));
        if (kept.includes(false)) return false;
      }
      const [first] = rejected;
      const { reason, detail, subject, sequence } = first!;
      log.warn({ what, number: rejected.length, reason, detail, subject, sequence }, 'rejected');
      for (const item of rejected) count(item.reason, 1);
      return true;
    },
  };
}

/** Repeats until it is stored: the dedupe id makes that harmless. */
async function keep(broker: Broker, log: Logger, item: Rejected, stopping: AbortSignal): Promise<boolean> {
  const letter = DeadLetter.encode({
    envelope: item.bytes.subarray(0, KEPT_BYTES_MAX),
    decoded: false,
    reason: item.reason,
    detail: item.detail,
    subject: item.subject,
    streamSeq: item.sequence,
    hops: [],
  }).finish();
  const subject = deadSubject.build({ org: item.org, agent: UNKNOWN_RECIPIENT });
  // A stream that was made anew has the same sequences again.
  const msgId = `delivery-${item.stream}-${item.sequence}-${item.part}-${hashOf(Buffer.from(item.bytes).toString('latin1'))}`;
  for (let attempt = 0; !stopping.aborted; attempt++) {
    try {
      await broker.store(subject, letter, { msgId });
      return true;
    } catch (error) {
      if (attempt % 10 === 0)
        log.warn({ subject, cause: causeChain(error) }, 'cannot keep a dead letter yet');
      await pause(backoffMs(BACKOFF, attempt), stopping);
    }
  }
  return false;
}
