/** An ingress message in the memory of a flow, and how far it has been judged. */

import type { IngressSubject } from '@fleetwire/contract';
import type { PackedEnvelope } from './header.ts';
import type { IngressSlot } from './items.ts';
import type { Effect } from './judge.ts';

/** What of a pulled message a flow needs. */
export interface IngressMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly sequence: number;
  /** When the broker stored it, microseconds. */
  readonly storedAtUs: number;
}

export interface MessageSlot<M> extends IngressSlot {
  readonly message: M;
}

/** One that has been begun. */
export interface Begun<M> {
  readonly slot: MessageSlot<M>;
  readonly subject: IngressSubject;
  readonly envelopes: readonly PackedEnvelope[];
  /** The first that is not judged yet. */
  next: number;
  /** What that one leads to, where it is held up; see `PartitionFlow.copies`. */
  judged: readonly Effect[] | undefined;
}

export function slotOf<M extends IngressMessage>(
  message: M,
  subject: IngressSubject,
  parts: number,
): MessageSlot<M> {
  return {
    message,
    sequence: message.sequence,
    open: 0,
    bytes: message.data.length,
    parts,
    subject: message.subject,
    org: subject.org,
    node: subject.node,
    atUs: Math.floor(message.storedAtUs),
  };
}
