/** From a pack of items to what is stored in the broker: payload, subject, and a dedupe id that outlives a take-over. */

import { hash } from 'node:crypto';
import { MANY } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { DeadLetter, ReceiptBatch } from '@fleetwire/gen/message';
import { isTraceparent } from '@fleetwire/telemetry';
import { encodeInboxPack } from './inbox-pack.ts';
import type { InboxItem, Item, ReceiptItem } from './items.ts';
import type { Pack } from './lanes.ts';
import { listOf } from './recipient-list.ts';

/** One message to be stored. */
export interface Store {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly msgId: string;
  /** That of the first message in it; empty when it has none. */
  readonly traceparent: string;
}

/** A pack and what has to be stored for it: one message, or one for each dead letter. */
export interface Publication {
  readonly pack: Pack<Item>;
  readonly stores: readonly Store[];
}

export function publicationOf(pack: Pack<Item>, partition: number, router: string): Publication {
  const first = pack.items[0]!;
  if (first.kind === 'dead') {
    return { pack, stores: pack.items.map((item) => deadStore(item, partition)) };
  }
  if (first.kind === 'receipt') {
    const receipts = (pack.items as readonly ReceiptItem[]).map((item) => item.receipt);
    const payload = encode(ReceiptBatch, { receipts });
    // Nodes publish receipts too: by the id of a message, which is random, nobody can guess this one and use it up. Of a
    // message to many there are several, which only their recipients tell apart.
    let what = `${pack.lane} ${receipts[0]!.messageId}`;
    for (const { stage, recipient } of receipts) what += ` ${stage}${recipient}`;
    const msgId = msgIdOf(partition, what, pack.items);
    return { pack, stores: [{ subject: pack.lane, payload, msgId, traceparent: '' }] };
  }
  const alone = first.kind === 'inbox' && first.alone;
  const items = pack.items as readonly InboxItem[];
  const whom = !alone && pack.lane.endsWith(MANY_TOKEN) ? recipientsOf(items) : '';
  const msgId = msgIdOf(partition, (alone ? WHOEVER : pack.lane) + whom, items);
  const payload = encodeInboxPack(items, router);
  const given = first.span?.traceparent ?? first.header.traceparent;
  // It becomes a header as it stands, and the node wrote it: what is none could carry other headers in.
  const traceparent = isTraceparent(given) ? given : '';
  return { pack, stores: [{ subject: pack.lane, payload, msgId, traceparent }] };
}

function deadStore(item: Item, partition: number): Store {
  if (item.kind !== 'dead') throw new TypeError('a lane of dead letters holds nothing else');
  const payload = encode(DeadLetter, item.letter);
  return { subject: item.subject, payload, msgId: msgIdOf(partition, item.subject, [item]), traceparent: '' };
}

const MANY_TOKEN = `.${MANY}`;

/**
 * The subject of a pack to many does not say whom it is for. After a take-over the same messages may be for others, since
 * agents come, go and have mail in lanes of their own: under the same id the stream would drop that pack as a repeat, and
 * who is only in it would lose its mail. Under another one, what is repeated for anybody is dropped by its node.
 */
function recipientsOf(items: readonly InboxItem[]): string {
  let text = '';
  for (const { route, recipients } of items) {
    text += ` ${recipients === undefined ? route.agent : listOf(recipients).digest}`;
  }
  return text;
}

/** Says that the id is not bound to a subject; no subject is written like this. */
const WHOEVER = '?';

/**
 * Names exactly these parts of the ingress stream on this subject, whoever publishes them: the same pack has the
 * same id after a take-over, and no other pack has it. What gathers into a pack, and whose turn it is in it, depends on when
 * things come: a later holder may split the same mail otherwise, and its ids are others then. That does no harm: what a sender
 * has on one level goes in its order all the same, so that only repeats in order are stored, which the node's primary key drops.
 * The time guards against a stream that was made anew. A message for whoever can do something has the same id on every subject:
 * the stream drops it when another pick was stored before.
 */
export function msgIdOf(
  partition: number,
  subject: string,
  items: readonly Pick<Item, 'slot' | 'index'>[],
): string {
  let text = `${partition} ${subject} ${items[0]!.slot.atUs}`;
  for (const { slot, index } of items) text += ` ${slot.sequence}.${index}`;
  return hash('sha256', text, 'base64url').slice(0, 27);
}
