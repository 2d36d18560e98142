/** Words of busy recipients, for tests. */

import { peerSubject, receiptSubject } from '@fleetwire/contract';
import { type DeepPartial, PeerFrame, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import type { Agent } from '@fleetwire/gen/registry';
import { foldName } from '@fleetwire/kernel';
import type { Busy, Ready } from '../src/domain/peer-signal.ts';
import { type FakeHub, TEST_ORG } from './fake-hub.ts';
import type { TestNode } from './test-node.ts';

export function busy(name: string, more: Partial<Busy> = {}): Busy | Ready {
  const whose = { agent: `a_${foldName(name)}`, name, publisher: 'n_far', seq: 1 };
  const node = foldName(more.node ?? 'far');
  return { kind: 'busy', ...whose, reason: 'queue_full', retryAfterMs: 60_000, ...more, node };
}

export function ready(name: string, credits: number, more: Partial<Ready> = {}): Ready {
  const whose = { agent: `a_${foldName(name)}`, name, node: 'far', publisher: 'n_far', seq: 2 };
  return { kind: 'ready', ...whose, credits, ...more };
}

export function wholeBusy(more: Partial<Busy> = {}): Busy {
  const whose = { agent: '', name: '', node: '', publisher: 'router', seq: 1 };
  return { kind: 'busy', ...whose, reason: 'rate_limited', retryAfterMs: 1000, ...more };
}

/** Publishes a frame as `from` would: a node of the hub's org, or a service. */
export function say(hub: FakeHub, to: TestNode, from: string, frame: DeepPartial<PeerFrame>): void {
  const subject = peerSubject.build({ org: TEST_ORG, to: to.id, from });
  hub.broker.publish(subject, PeerFrame.encode(PeerFrame.fromPartial(frame)).finish());
}

/** The node's word that one of its agents is busy or takes mail again; each call is newer than the one before. */
export function wordOf(agent: Agent, nodeName: string) {
  const { id, name, node } = agent;
  return { agent: id, name, node, nodeName, seq: ++lastSeq };
}
let lastSeq = 0;

/** Tells the sending node how messages have ended. */
export function conclude(hub: FakeHub, to: TestNode, from: string, ids: readonly string[]): void {
  // Each says what is its to say.
  const stage = from === 'router' ? Stage.RETURNED : Stage.CONFIRMED;
  const receipts = ids.map((messageId) => ({ messageId, recipient: 'a_somebody', stage, final: true }));
  const subject = receiptSubject.build({ org: TEST_ORG, toNode: to.id, from });
  hub.broker.publish(subject, ReceiptBatch.encode(ReceiptBatch.fromPartial({ receipts })).finish());
}
