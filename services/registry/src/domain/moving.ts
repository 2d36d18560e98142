/** The rules of moving an agent, and what is said about its mail; pure. */

import { endReceipt, inboxSubject, MANY, receiptSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import {
  Envelope,
  type InboxEntry,
  InboxPack,
  type MoveMark,
  type Receipt,
  Stage,
} from '@fleetwire/gen/message';
import { FleetwireError } from '@fleetwire/kernel';
import type { MoveRow, MoveState, Party } from '../store/moves.ts';
import { statusOf } from './liveness.ts';
import type { Silence } from './silence.ts';

/** Protocol from which on nodes know of moves. */
export const MOVING_PROTOCOL = 2;

export interface Moment {
  readonly nowMs: number;
  readonly livenessMs: number;
  readonly lostMs: number;
  readonly silence: Pick<Silence, 'heard' | 'isLong'>;
}

/** `seenAtMs`: when the node was heard of last, by whichever replica knows more. */
export function isOnline(node: Party, seenAtMs: number, at: Pick<Moment, 'nowMs' | 'livenessMs'>): boolean {
  return node.leftAtMs < seenAtMs && statusOf(seenAtMs, at.nowMs, at.livenessMs) === 'online';
}

/** What is to be done about mail that the old node may have; undefined: there is no such node. */
export function stateBySource(node: Party | undefined, seenAtMs: number, at: Moment): MoveState {
  // An older node would not understand: what waits in the broker is read without it.
  if (node === undefined || node.protocol < MOVING_PROTOCOL) return 'reading';
  if (isOnline(node, seenAtMs, at)) {
    at.silence.heard(node.id);
    return 'handover';
  }
  // Both: after a break of the registry's own all nodes look lost.
  const isLong = at.silence.isLong(node.id);
  return isLong && at.nowMs - seenAtMs >= at.lostMs ? 'reading' : 'waiting';
}

/** A node may take an agent over from one of the same owner that is away or draining, if the agent is movable. */
export function mayTakeOver(from: Party, to: Party, fromOnline: boolean, movable: boolean): boolean {
  return movable && to.owner !== '' && to.owner === from.owner && (!fromOnline || from.draining);
}

export const oldInbox = (move: MoveRow): string =>
  inboxSubject.build({ shard: move.fromShard, org: move.org, node: move.fromNode, agent: move.agent });
/** Where what is sent to several agents of its old node waits. */
export const oldMany = (move: MoveRow): string =>
  inboxSubject.build({ shard: move.fromShard, org: move.org, node: move.fromNode, agent: MANY });
export const newInbox = (move: MoveRow): string =>
  inboxSubject.build({ shard: move.toShard, org: move.org, node: move.toNode, agent: move.agent });

/** As it goes to the new node: before what came there directly. */
export function movedPack(entries: readonly InboxEntry[], epoch: number): Uint8Array {
  return encode(InboxPack, {
    entries: entries.map((entry) => ({ ...entry, movedEpoch: epoch })),
    mark: undefined,
  });
}

export function markPack(mark: MoveMark): Uint8Array {
  return encode(InboxPack, { entries: [], mark });
}

/** Why mail goes back, by the reason of the move. */
const RETURNS: Readonly<Record<string, { readonly reason: string; readonly detail: string }>> = {
  agent_removed: { reason: 'AGENT_REMOVED', detail: 'the agent was removed' },
  agent_swept: { reason: 'AGENT_SWEPT', detail: 'the node of the agent was silent for too long' },
  node_removed: { reason: 'NODE_REMOVED', detail: 'the node of the agent was removed' },
};

export interface AddressedReceipt {
  readonly subject: string;
  readonly receipt: Receipt;
}

/** One receipt for each recipient of an entry that goes back; throws when its envelope cannot be decoded. */
export function returnReceipts(
  entry: InboxEntry,
  why: string,
  instance: string,
  nowUs: number,
): AddressedReceipt[] {
  const envelope = Envelope.decode(entry.envelope);
  const { org, fromNode, attempt } = envelope;
  const { reason, detail } = RETURNS[why] ?? RETURNS['agent_removed']!;
  const end = { stage: Stage.RETURNED, reason, detail, attempt, routed: entry };
  return entry.recipients.map((recipient) => ({
    subject: receiptSubject.build({ org, toNode: fromNode, from: 'registry' }),
    receipt: endReceipt(envelope, { ...end, service: 'registry', instance, atUs: nowUs, recipient }),
  }));
}

export const moveUnderWay = (name: string): FleetwireError =>
  new FleetwireError('aborted', 'MOVE_UNDER_WAY', `${name} is being moved at this moment`, {
    help: 'Try again once its mail has arrived.',
    retryAfterMs: 1000,
  });

export const moveUnknown = (): FleetwireError =>
  new FleetwireError('not_found', 'MOVE_UNKNOWN', 'no such agent is moving away from this node', {
    help: 'What is still held for it goes back to its senders.',
  });

export const moveOver = (): FleetwireError =>
  new FleetwireError('failed_precondition', 'MOVE_OVER', 'the agent has moved without this node', {
    help: 'What is still held for it goes back to its senders.',
  });
