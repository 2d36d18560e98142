/** Proof that comes after the end: of a session that resumes with what it had taken, or of a reader that confirms late. */

import { isKnownStage, STAGE_RULES } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Receipt, Stage } from '@fleetwire/gen/message';
import type { Clock } from '@fleetwire/kernel';
import type { AgentBook } from '../agents/agent-book.ts';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import type { Entry } from '../domain/queue.ts';
import { upgraded } from '../domain/receipt.ts';
import type { InboxTable } from '../store/inbox-table.ts';
import type { ReceiptDesk } from './receipt-desk.ts';

export interface LateProofParts {
  readonly clock: Clock;
  readonly book: Pick<AgentBook, 'byNum'>;
  readonly inbox: InboxTable;
  readonly desk: ReceiptDesk;
}

/** Of what a reader was shown: no session has a number for it. */
const NO_DELIVERY = 0;

/** Everything here is in a turn. */
export class LateProof {
  readonly #parts: LateProofParts;

  constructor(parts: LateProofParts) {
    this.#parts = parts;
  }

  /** At start. */
  load(): void {
    for (const { agent, seq, delivery } of this.#parts.inbox.loadUnproven())
      if (delivery !== NO_DELIVERY) this.#parts.book.byNum(agent)?.addUnproven(delivery, seq);
  }

  /** Of a message that ends now: kept where whoever had it may still prove that, and the stage lets proof change it. */
  keep({ seq, delivery, agent, shown }: Entry, toNode: string, receipt: Receipt): void {
    const { stage } = receipt;
    const wasAttempted = stage === Stage.UNCONFIRMED;
    const canBeRead = shown !== undefined && isKnownStage(stage) && STAGE_RULES[stage].upgradable;
    if (!wasAttempted && !canBeRead) return;
    const row = {
      seq,
      delivery: wasAttempted ? delivery : NO_DELIVERY,
      toNode,
      receipt: encode(Receipt, receipt),
    };
    this.#parts.inbox.insertUnproven(agent.num, row, this.#parts.clock.nowUs());
    if (wasAttempted) agent.addUnproven(delivery, seq);
  }

  /** By a session: nothing happens when the message is not known any more. */
  prove(agent: HostedAgent, delivery: number, seq: number): void {
    agent.unproven.delete(delivery);
    this.#upgrade(agent, seq);
  }

  /** By a reader; false: nothing is known that this could still change. */
  proveRead(agent: HostedAgent, id: string): boolean {
    const row = this.#parts.inbox.unprovenOf(id, agent.num);
    if (row === undefined) return false;
    agent.unproven.delete(row.delivery);
    return this.#upgrade(agent, row.seq);
  }

  #upgrade(agent: HostedAgent, seq: number): boolean {
    const { inbox, desk, clock } = this.#parts;
    const row = inbox.takeUnproven(agent.num, seq);
    if (row === undefined) return false;
    desk.add(row.toNode, upgraded(Receipt.decode(row.receipt), clock.nowUs()), true);
    return true;
  }
}
