/** One message in the outbox, with what decides when it may go: its recipient's lane, its level and its deadline. */

import { Envelope } from '@fleetwire/gen/message';
import {
  type Address,
  FleetwireError,
  foldName,
  type PriorityLevel,
  parseAddress,
  priorityLevelOf,
} from '@fleetwire/kernel';
import type { OutboxRow } from '../store/outbox-table.ts';
import { ALL } from './recipient-flow.ts';

export interface WaitingRow extends OutboxRow {
  /** The name of the one agent that it is for, folded; ALL: nobody in particular, so no agent's BUSY holds it back. */
  readonly lane: string;
  /** The node in its address, folded. */
  readonly node: string | undefined;
  readonly level: PriorityLevel;
  /** Broker time; counts only while it waits for a busy recipient. */
  readonly deadlineUs: number;
}

type Sent = Pick<Envelope, 'priority' | 'acceptedAtUs' | 'ttlMs'>;

export function waitingRow(row: OutboxRow, address: Address | undefined, sent: Sent): WaitingRow {
  const { seq, id, agent, local, envelope } = row;
  const { lane, node } = local ? NOBODY : laneOf(address);
  const deadlineUs = sent.acceptedAtUs + sent.ttlMs * 1000;
  const level = priorityLevelOf(sent.priority);
  return { seq, id, agent, local, envelope, lane, node, level, deadlineUs };
}

/** As it was on the disk. */
export function storedRow(row: OutboxRow): WaitingRow {
  const envelope = Envelope.decode(row.envelope);
  return waitingRow(row, addressIn(envelope.to), envelope);
}

export interface Lane {
  readonly lane: string;
  readonly node: string | undefined;
}

const NOBODY: Lane = { lane: ALL, node: undefined };

/** `alice`, `alice@laptop` and `project:alice` are of one lane. */
export function laneOf(address: Address | undefined): Lane {
  if (address?.kind !== 'agent') return NOBODY;
  const { name, node } = address;
  return { lane: foldName(name), node: node === undefined ? undefined : foldName(node) };
}

/** Of an address as it is written; nobody's when it is none. */
export function laneIn(to: string): Lane {
  return laneOf(addressIn(to));
}

/** What an earlier version has accepted may be no address to this one: undefined. */
export function addressIn(to: string): Address | undefined {
  try {
    return parseAddress(to);
  } catch (error) {
    if (error instanceof FleetwireError) return undefined;
    throw error;
  }
}
