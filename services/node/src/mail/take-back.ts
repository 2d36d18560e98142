/** A sender takes back what it has sent to an agent of this node: withdrawn while it waits, told to who has it. */

import type { Envelope } from '@fleetwire/gen/message';
import type { Clock } from '@fleetwire/kernel';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import { type Entry, TAKEN_BACK_US } from '../domain/queue.ts';
import { confirmed, NOTHING_TO_CANCEL, type Outcome } from '../domain/receipt.ts';
import { isShown } from '../domain/shown.ts';
import type { InboxTable } from '../store/inbox-table.ts';
import type { Turns } from '../store/turns.ts';

export interface TakeBackParts {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly inbox: Pick<InboxTable, 'seqOf' | 'setDeadline'>;
  readonly turns: Turns;
}

/**
 * Inside a turn. Gives the end of the message that takes another one back; `withdraw` ends that other one. Only what the same
 * sender has sent to this agent is touched, and once it has ended nothing becomes of it any more: the program is told all the
 * same, for it may still be at work on its answer.
 */
export function takeBack(
  agent: HostedAgent,
  { cancels, fromAgent }: Pick<Envelope, 'cancels' | 'fromAgent'>,
  { clock, inbox, turns }: TakeBackParts,
  withdraw: (entry: Entry) => void,
): Outcome {
  const seq = inbox.seqOf(cancels, agent.num, fromAgent);
  if (seq === undefined) return NOTHING_TO_CANCEL;
  const waiting = agent.queue.find(seq);
  // A reader has it, or has had it: told so when it confirms.
  if (waiting?.shown !== undefined) agent.addCancelled(cancels);
  if (waiting !== undefined && isShown(waiting, clock.monotonicMs())) {
    agent.queue.cancelShown(waiting);
    inbox.setDeadline(agent.num, seq, TAKEN_BACK_US);
    return confirmed('it was being shown to its reader, who is told when it confirms');
  }
  if (waiting !== undefined) {
    agent.queue.withdraw(waiting);
    withdraw(waiting);
    return confirmed('it was withdrawn while it waited');
  }
  for (const entry of agent.queue.attempted.values()) if (entry.seq === seq) entry.cancelled = true;
  if (agent.adapter !== 'stream' && agent.taker?.cancelled === undefined)
    return confirmed('it had been handed over, and its program cannot be told');
  agent.addCancelled(cancels);
  turns.after(() => agent.taker?.cancelled?.([cancels]));
  return confirmed('it had been handed over; its program was told');
}
