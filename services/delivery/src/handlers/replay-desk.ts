/** Sends dead letters again: what was recorded as replayed is published, however often it takes, and has its effect once. */

import type { Broker, DedupeIds } from '@fleetwire/broker';
import { ingressSubject, REPLAYS, receiptSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Envelope, IngressPack, type Receipt, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { type Clock, hashOf } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { openLetter, replayedEnvelope } from '../domain/replay-plan.ts';
import { putOffDeadline } from '../store/origin-table.ts';
import type { OpenReplay } from '../store/replay-table.ts';
import { replayPublished, unpublishedReplays } from '../store/replay-table.ts';

export interface ReplayDeskParts {
  readonly store: Store;
  readonly clock: Pick<Clock, 'nowUs'>;
  readonly publish: Broker['store'];
  /** Nodes publish to these streams too: an id that they could guess could be used up. */
  readonly ids: DedupeIds;
  readonly instance: string;
  readonly partitions: number;
}

/** Letters in memory at a time, of at most a megabyte each. */
const BATCH = 16;

/**
 * Publishes what is recorded and not known to be published, oldest first, until nothing is left or `mayGoOn` says no; gives how
 * many. A crash, or two replicas at once, publish the same under the same dedupe ids; what slips through after their window
 * is dropped by the recipient's node, which takes each attempt in once.
 */
export async function publishReplays(
  parts: ReplayDeskParts,
  of: { readonly org: string; readonly requestId: string } | { readonly beforeUs: number },
  mayGoOn: () => boolean = () => true,
): Promise<number> {
  let published = 0;
  while (mayGoOn()) {
    const batch = await unpublishedReplays(parts.store, of, BATCH);
    for (const replay of batch) {
      if (!mayGoOn()) return published;
      await publishOne(parts, replay);
      await replayPublished(parts.store, replay);
      published++;
    }
    if (batch.length < BATCH) break;
  }
  return published;
}

/** First the word to the sender's node and to history that it is under way, then the message itself. */
async function publishOne(parts: ReplayDeskParts, replay: OpenReplay): Promise<void> {
  const { org, messageId, recipient, attempt } = replay;
  const { envelope } = openLetter(org, replay.letter);
  if (envelope === undefined) return; // It was looked at before it was recorded.
  const { publish, ids, partitions } = parts;
  const what = `${org} ${messageId} ${recipient} ${attempt}`;
  const told = encode(ReceiptBatch, { receipts: [receiptOf(envelope, replay, parts.instance)] });
  const toSender = receiptSubject.build({ org, toNode: envelope.fromNode, from: 'delivery' });
  await publish(toSender, told, { msgId: ids(`replayed ${what}`) });
  const again = encode(Envelope, replayedEnvelope(envelope, recipient, attempt));
  const partition = hashOf(envelope.fromNode) % partitions;
  await putOffDeadline(parts.store, org, messageId, parts.clock.nowUs() + envelope.ttlMs * 1000);
  const subject = ingressSubject.build({ partition, org, node: REPLAYS });
  await publish(subject, encode(IngressPack, { envelopes: [again] }), { msgId: ids(`replay ${what}`) });
}

function receiptOf(envelope: Envelope, replay: OpenReplay, instance: string): Receipt {
  const { id: messageId, to, fromAgent, correlationId, traceparent } = envelope;
  const { recipient, attempt, decidedBy, decidedAtUs: atUs } = replay;
  const detail = `replayed by ${decidedBy}`;
  const stage = Stage.ACCEPTED;
  const hop = { stage, service: 'delivery', instance, atUs, reason: '', detail, attempt };
  const about = { messageId, recipient, recipientName: '', to, fromAgent, correlationId, traceparent };
  return {
    ...about,
    stage,
    final: false,
    reason: '',
    detail,
    hops: [hop],
    fanOut: 0,
    attempt,
    proof: undefined,
  };
}
