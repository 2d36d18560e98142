/** What waits in the broker for an agent at its old place: published to the new one, or returned to its senders. */

import type { Broker, DedupeIds, StoredMessage } from '@fleetwire/broker';
import { deadSubject, UNKNOWN_RECIPIENT } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { DeadLetter, InboxPack, ReceiptBatch } from '@fleetwire/gen/message';
import { asFleetwireError, type Clock, nowMs } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import { movedPack, newInbox, oldInbox, returnReceipts } from '../domain/moving.ts';
import type { MoveRow } from '../store/moves.ts';

export interface WaitingMailOptions {
  readonly messages: Pick<Broker['messages'], 'nextBySubject' | 'deleteMessage'>;
  readonly streams: Pick<Broker['streams'], 'count'>;
  /** Of the broker. */
  readonly store: Broker['store'];
  /** Nodes publish receipts too: an id that they could guess could be used up. */
  readonly receiptIds: DedupeIds;
  readonly clock: Clock;
  readonly instance: string;
  readonly log: Logger;
}

const INBOX = 'INBOX';
/**
 * How long a message that is counted and cannot be read is waited for. nats-server 2.9 may lose sight of the last one of
 * a subject, for some seconds, when one behind it was deleted before: `First` of the subject's index is past it then.
 */
const HIDDEN_MS = 60_000;
/** Bytes of a pack that cannot be decoded which are kept for people to look at. */
const KEPT_BYTES = 1024 * 1024;

/**
 * Empties the old subject: what had come there by an earlier move goes first, as it would have there. Each message is deleted
 * only when it is stored where it goes, so that a crash in between repeats it; the recipient's primary key and history
 * drop repeats. They are deleted in their order, marks too. Gives how many there were, and whether that was all;
 * `mayGoOn` is asked before each. Rejects resource_exhausted STREAM_FULL while the new inbox is at its bound.
 */
export async function moveWaiting(
  o: WaitingMailOptions,
  move: MoveRow,
  mayGoOn: () => boolean | Promise<boolean>,
): Promise<{ moved: number; all: boolean }> {
  let moved = 0;
  for (const pass of ['earlier', 'rest'] as const) {
    for (let from = 1; ; ) {
      if (!(await mayGoOn())) return { moved, all: false };
      const message = await o.messages.nextBySubject(INBOX, oldInbox(move), from);
      if (message === undefined) break;
      from = message.sequence + 1;
      const pack = decoded(message);
      if (pass === 'earlier' && !cameEarlier(pack)) continue;
      if (pack === undefined) await keepUndecodable(o, move, message);
      else if (pack.entries.length > 0) await settle(o, move, message, pack);
      await o.messages.deleteMessage(INBOX, message.sequence);
      moved += pack?.entries.length ?? 1;
    }
  }
  const left = await o.streams.count(INBOX, oldInbox(move));
  return { moved, all: left === 0 || nowMs(o.clock) - move.changedAtMs > HIDDEN_MS };
}

function cameEarlier(pack: InboxPack | undefined): boolean {
  return pack !== undefined && (pack.entries[0]?.movedEpoch ?? 0) !== 0;
}

function decoded({ data }: StoredMessage): InboxPack | undefined {
  try {
    return InboxPack.decode(data);
  } catch {
    return undefined;
  }
}

async function settle(o: WaitingMailOptions, move: MoveRow, message: StoredMessage, pack: InboxPack) {
  const { agent, epoch, toNode } = move;
  if (toNode !== '') {
    const msgId = `move-${agent}-${epoch}-s${message.sequence}`;
    await o.store(newInbox(move), movedPack(pack.entries, epoch), { msgId });
    return;
  }
  const nowUs = o.clock.nowUs();
  const told = pack.entries.flatMap((entry) => {
    try {
      return returnReceipts(entry, move.reason, o.instance, nowUs);
    } catch (error) {
      o.log.error(
        { err: asFleetwireError(error), sequence: message.sequence },
        'unreadable mail ends untold',
      );
      return [];
    }
  });
  for (const [subject, some] of Map.groupBy(told, (each) => each.subject)) {
    const receipts = some.map(({ receipt }) => receipt);
    const msgId = o.receiptIds(`return ${message.sequence} ${subject}`);
    await o.store(subject, encode(ReceiptBatch, { receipts }), { msgId });
  }
}

async function keepUndecodable(o: WaitingMailOptions, move: MoveRow, message: StoredMessage): Promise<void> {
  const letter: DeadLetter = {
    envelope: message.data.subarray(0, KEPT_BYTES),
    decoded: false,
    reason: 'PACK_UNDECODABLE',
    detail: 'it waited for an agent that has moved or was removed',
    subject: message.subject,
    streamSeq: message.sequence,
    hops: [],
  };
  const subject = deadSubject.build({ org: move.org, agent: UNKNOWN_RECIPIENT });
  await o.store(subject, encode(DeadLetter, letter), { msgId: `move-dead-${message.sequence}` });
}
