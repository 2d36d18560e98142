/**
 * Takes what can never become history: counts it, says so in the log, and keeps it as a dead letter. Of what a node has said
 * only some: one that floods must not hold up what others say, nor take the room of others' letters.
 */

import type { Broker } from '@fleetwire/broker';
import type { StreamName } from '@fleetwire/contract';
import { deadSubject, UNKNOWN_RECIPIENT } from '@fleetwire/contract';
import { DeadLetter } from '@fleetwire/gen/message';
import type { BackoffPolicy, Clock } from '@fleetwire/kernel';
import { backoffMs, causeChain, hashOf, keepNewest, pause, slices, TokenBucket } from '@fleetwire/kernel';
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
  /** Where a node has said it. */
  readonly word?: NodeWord | undefined;
}

/** What a node has said of a message; empty what could not be read. */
export interface NodeWord {
  readonly publisher: string;
  readonly recipient: string;
  readonly messageId: string;
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
/** Letters of what one node has said; beyond them it is counted alone. */
const LETTERS = { tokens: 100, perMs: 60_000, burst: 100 };
const NODES_MAX = 10_000;

/** `count` is called once for each reason with how many there were. */
export function createRejectDesk(
  broker: Broker,
  log: Logger,
  count: (reason: string, number: number) => void,
  clock: Pick<Clock, 'monotonicMs'>,
): RejectDesk {
  const isKept = letterLimit(clock);
  return {
    take: async (what, rejected, stopping) => {
      const letters = rejected.filter(isKept);
      for (const some of slices(letters, AT_ONCE)) {
        const kept = await Promise.all(some.map((item) => keep(broker, log, item, stopping)));
        if (kept.includes(false)) return false;
      }
      const [first] = rejected;
      const { reason, detail, subject, sequence } = first!;
      const number = rejected.length;
      log.warn({ what, number, kept: letters.length, reason, detail, subject, sequence }, 'rejected');
      for (const item of rejected) count(item.reason, 1);
      return true;
    },
  };
}

/** A bucket for each node, and a bound on how many are remembered. */
function letterLimit(clock: Pick<Clock, 'monotonicMs'>): (item: Rejected) => boolean {
  const buckets = new Map<string, TokenBucket>();
  return ({ org, keep: isWanted, word }) => {
    if (!isWanted || word === undefined) return isWanted;
    const node = `${org} ${word.publisher}`;
    const nowMs = clock.monotonicMs();
    const bucket = buckets.get(node) ?? new TokenBucket(LETTERS, nowMs);
    // Anew, so that the map's order is that of last use.
    buckets.delete(node);
    buckets.set(node, bucket);
    keepNewest(buckets, NODES_MAX);
    return bucket.take(1, nowMs).ok;
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
