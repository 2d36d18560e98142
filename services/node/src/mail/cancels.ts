/** A sender of this node takes a message back: what waits in the outbox is withdrawn there, for the rest somebody is told. */

import { encode } from '@fleetwire/gen/encode';
import { Envelope } from '@fleetwire/gen/message';
import type { Outgoing } from '@fleetwire/gen/node';
import { type Clock, FleetwireError, isToMany } from '@fleetwire/kernel';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import type { Outbox } from '../domain/outbox.ts';
import { seqRuns } from '../domain/outbox-pack.ts';
import { addressIn, waitingRow } from '../domain/outbox-row.ts';
import { buildReceipt, CANCELLED, confirmed, NOT_ON_ITS_WAY, type Outcome } from '../domain/receipt.ts';
import type { OutboxTable } from '../store/outbox-table.ts';
import type { ReceiptDesk } from './receipt-desk.ts';
import type { Way } from './ways.ts';

export interface CancelsParts {
  readonly clock: Clock;
  readonly outbox: Outbox;
  readonly table: OutboxTable;
  readonly desk: ReceiptDesk;
}

/** Of what has taken a message back before that had left: there is nobody to tell. */
export const TOOK_BACK: Way = { here: [], stays: true, served: false, localAgent: '', behind: [] };
/** It may not be known yet whom an address means. */
const NOBODY = { id: '', name: '' } as const;
const WITHDRAWN = confirmed('it was withdrawn before it had left its node');

export class Cancels {
  readonly #parts: CancelsParts;

  constructor(parts: CancelsParts) {
    this.#parts = parts;
  }

  /**
   * As it is to go: what takes back a message that is still in the outbox has the priority of that one, or it might get there
   * first and find nothing.
   */
  inOrder(message: Outgoing): Outgoing {
    const found = message.cancels === '' ? undefined : this.#parts.outbox.find(message.cancels);
    return found === undefined ? message : { ...message, priority: Envelope.decode(found.envelope).priority };
  }

  /**
   * Inside a turn: true when the message that `cancel` takes back had not left yet, and has ended by that. Of mail to many some
   * may have it already, so all whom the cancel is for are told. Throws NOTHING_TO_CANCEL for what this agent has not sent from
   * here.
   */
  withdraws(agent: HostedAgent, cancel: Outgoing): boolean {
    const { cancels: id } = cancel;
    if (id === '') return false;
    const { outbox, table } = this.#parts;
    if (table.findSent(id)?.agent !== agent.num) throw nothingToCancel(agent.name, id);
    const found = outbox.find(id);
    if (found === undefined) return false;
    const envelope = { ...Envelope.decode(found.envelope), local: true };
    const to = addressIn(envelope.to);
    const row = to === undefined || isToMany(to) ? undefined : outbox.withdraw(id);
    if (row === undefined) return false;
    table.delete(seqRuns([row]));
    const encoded = encode(Envelope, envelope);
    // History is to know it with its end; routers pass over what is local.
    const history = outbox.roomForHistory(encoded.length);
    if (history) {
      const copy = { id, agent: row.agent, local: true, envelope: encoded };
      const seq = table.insert(id, row.agent, true, encoded);
      outbox.push(waitingRow({ ...copy, seq }, to, envelope));
    }
    this.#end(envelope, CANCELLED, history);
    return true;
  }

  /** Inside a turn: the end of what has taken a message back before that had left. */
  settle(cancel: Envelope, history: boolean): void {
    this.#end(cancel, WITHDRAWN, history);
  }

  #end(envelope: Envelope, outcome: Outcome, history: boolean): void {
    const { desk, clock } = this.#parts;
    const receipt = buildReceipt(envelope, NOBODY, NOT_ON_ITS_WAY, outcome, clock.nowUs());
    desk.add(envelope.fromNode, receipt, history);
  }
}

function nothingToCancel(agent: string, id: string): FleetwireError {
  const said = `${agent} has sent no message ${id} from this node`;
  return new FleetwireError('not_found', 'NOTHING_TO_CANCEL', said, {
    help: 'Only its sender can take a message back, from the node that it was sent from.',
    details: { message_id: id },
  });
}
