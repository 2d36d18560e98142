/** Whether what somebody says of a message counts: who may speak of which recipient, from what is known at the moment. */

import { type ReceiptFault, receiptFault } from '@fleetwire/contract';
import type { Receipt } from '@fleetwire/gen/message';
import { type FormerHome, STRAY_US } from './homes.ts';

/** By the subject of a receipt, which the servers enforce as far as the publisher goes. */
export interface Word {
  readonly publisher: string;
  /** The node that is told, which the publisher chooses. */
  readonly toNode: string;
  readonly receipt: Pick<Receipt, 'recipient' | 'stage' | 'final' | 'hops'>;
}

/** Where the recipient lives and has lived; nowhere: nobody has ever heard of such an agent. */
export interface HomesOf {
  readonly current: readonly string[];
  readonly former: readonly FormerHome[];
}

/** The message itself, as history has it. */
export interface Sent {
  /** By the subject in ingress, which the servers enforce. */
  readonly node: string;
  /** That node has delivered it itself. */
  readonly local: boolean;
  readonly ingressAtUs: number;
}

/** What is known of it; undefined: it has to be found out. */
export interface Known {
  readonly homes: HomesOf | undefined;
  /** 'nothing': all that could say so has been read, and there is no such message. */
  readonly sent: Sent | 'nothing' | undefined;
}

/** Refused since of its publisher as many receipts are in doubt as may be. */
export const DOUBTS_FULL = 'RECEIPT_DOUBTS_FULL';
/** How many that is, unless configured: so many that a busy node comes through a restart or two of those who know. */
export const DOUBTS_MAX = 500_000;

/** A stable reason when it is refused. */
export type Refusal = 'RECEIPT_FORGED' | ReceiptFault;
export type Verdict = 'believed' | 'open' | Refusal;

/**
 * The recipient's node may say what becomes of the message there: where the agent lives, or lived when the message could
 * still come there. The sender's node may say that it never left, expired or returned; and anything of its own agents that
 * the registry does not know (yet), for whom mail stays on it. Nobody else may say anything.
 */
export function judge({ publisher, toNode, receipt }: Word, { homes, sent }: Known): Verdict {
  if (homes === undefined) return 'open';
  const atHome = livedThere(publisher, homes, sent);
  if (atHome === undefined) return 'open';
  if (atHome) return receiptFault(receipt, 'recipient') ?? 'believed';
  if (publisher !== toNode) return 'RECEIPT_FORGED';
  if (sent === undefined) return 'open';
  if (sent !== 'nothing' && sent.node !== publisher) return 'RECEIPT_FORGED';
  const unheardOf = homes.current.length === 0 && homes.former.length === 0;
  const ownAgent = unheardOf && receipt.recipient !== '' && (sent === 'nothing' || sent.local);
  return receiptFault(receipt, ownAgent ? 'recipient' : 'sender') ?? 'believed';
}

/** Undefined: that depends on when the message was sent, which is not known yet. */
function livedThere(node: string, { current, former }: HomesOf, sent: Known['sent']): boolean | undefined {
  if (current.includes(node)) return true;
  const left = former.filter((one) => one.node === node).map(({ leftAtUs }) => leftAtUs);
  if (left.length === 0) return false;
  if (sent === undefined) return undefined;
  return sent === 'nothing' || sent.ingressAtUs <= Math.max(...left) + STRAY_US;
}
