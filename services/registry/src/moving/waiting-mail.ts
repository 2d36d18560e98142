/** What waits in the broker for an agent at its old place: published to the new one, or returned to its senders. */

import type { Broker, DedupeIds, StoredMessage } from '@fleetwire/broker';
import { deadSubject, UNKNOWN_RECIPIENT } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { DeadLetter, type InboxEntry, InboxPack, ReceiptBatch } from '@fleetwire/gen/message';
import { asFleetwireError, type Clock, nowMs } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import { movedPack, newInbox, oldInbox, oldMany, returnReceipts } from '../domain/moving.ts';
import type { MoveRow } from '../store/moves.ts';

export interface WaitingMailOptions {
  readonly messages: Pick<Broker['messages'], 'nextBySubject' | 'deleteMessage'>;
  readonly streams: Pick<Broker['streams'], 'count' | 'state'>;
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
 *
 * With `many`, what waits for several agents of the old node goes to the new one too, in its place, as far as it is for this
 * agent. It is left where it is: the others' share is in it.
 */
export async function moveWaiting(
  o: WaitingMailOptions,
  move: MoveRow,
  mayGoOn: () => boolean | Promise<boolean>,
  many = false,
): Promise<{ moved: number; all: boolean }> {
  let moved = 0;
  for (const pass of ['earlier', 'rest'] as const) {
    const subjects = [oldInbox(move)];
    if (many && pass === 'rest') subjects.push(oldMany(move));
    const waiting = new InOrder(o, subjects, many ? await endOf(o) : Number.POSITIVE_INFINITY);
    for (;;) {
      if (!(await mayGoOn())) return { moved, all: false };
      const message = await waiting.next();
      if (message === undefined) break;
      const pack = decoded(message);
      if (message.subject === oldMany(move)) {
        moved += await copyShare(o, move, message, pack);
        continue;
      }
      if (pass === 'earlier' && !cameEarlier(pack)) continue;
      if (pack === undefined) await keepUndecodable(o, move, message);
      else if (pack.entries.length > 0) await settle(o, move, message, pack.entries);
      await o.messages.deleteMessage(INBOX, message.sequence);
      moved += pack?.entries.length ?? 1;
    }
  }
  const left = await o.streams.count(INBOX, oldInbox(move));
  return { moved, all: left === 0 || nowMs(o.clock) - move.changedAtMs > HIDDEN_MS };
}

/** Mail for others comes to the subject of many for ever; what came before this is all that matters. */
async function endOf(o: WaitingMailOptions): Promise<number> {
  return (await o.streams.state(INBOX))?.lastSequence ?? 0;
}

interface Head {
  readonly subject: string;
  from: number;
  message: StoredMessage | undefined;
}

/** Messages of several subjects, in the order of the stream, up to `end`. */
class InOrder {
  readonly #o: WaitingMailOptions;
  readonly #end: number;
  readonly #heads: Head[];

  constructor(o: WaitingMailOptions, subjects: readonly string[], end: number) {
    this.#o = o;
    this.#end = end;
    this.#heads = subjects.map((subject) => ({ subject, from: 1, message: undefined }));
  }

  async next(): Promise<StoredMessage | undefined> {
    let first: Head | undefined;
    for (const head of this.#heads) {
      await this.#look(head);
      if (head.message === undefined) continue;
      if (first?.message === undefined || head.message.sequence < first.message.sequence) first = head;
    }
    const message = first?.message;
    if (first !== undefined) first.message = undefined;
    return message;
  }

  async #look(head: Head): Promise<void> {
    if (head.message !== undefined || head.from > this.#end) return;
    const message = await this.#o.messages.nextBySubject(INBOX, head.subject, head.from);
    head.from = message === undefined ? Number.POSITIVE_INFINITY : message.sequence + 1;
    if (message !== undefined && message.sequence <= this.#end) head.message = message;
  }
}

/** What cannot be decoded is left to the old node, or to its time. */
async function copyShare(
  o: WaitingMailOptions,
  move: MoveRow,
  message: StoredMessage,
  pack: InboxPack | undefined,
): Promise<number> {
  const share = (pack?.entries ?? [])
    .filter(({ recipients }) => recipients.includes(move.agent))
    .map((entry) => ({ ...entry, recipients: [move.agent] }));
  if (share.length > 0) await settle(o, move, message, share);
  return share.length;
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

async function settle(
  o: WaitingMailOptions,
  move: MoveRow,
  message: StoredMessage,
  entries: readonly InboxEntry[],
) {
  const { agent, epoch, toNode } = move;
  if (toNode !== '') {
    const msgId = `move-${agent}-${epoch}-s${message.sequence}`;
    await o.store(newInbox(move), movedPack(entries, epoch), { msgId });
    return;
  }
  const nowUs = o.clock.nowUs();
  const told = entries.flatMap((entry) => {
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
