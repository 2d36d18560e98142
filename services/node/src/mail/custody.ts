/** Mail in this node's custody: taken in once, handed over in order, ended with a receipt. Everything here is in a turn. */

import { encode } from '@fleetwire/gen/encode';
import { Envelope, InboxEntry, type Receipt, Stage } from '@fleetwire/gen/message';
import { type Clock, type PriorityLevel, priorityLevelOf } from '@fleetwire/kernel';
import type { AgentBook } from '../agents/agent-book.ts';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import { type Entry, newEntry } from '../domain/queue.ts';
import {
  AGENT_REMOVED,
  buildReceipt,
  CANCELLED,
  expired,
  type Outcome,
  overdue,
  overflowed,
  type Recipient,
  returned,
  SESSION_LOST,
} from '../domain/receipt.ts';
import type { AgentTable } from '../store/agent-table.ts';
import type { InboxMeta, InboxTable } from '../store/inbox-table.ts';
import type { MovingTable } from '../store/moving-table.ts';
import type { Turns } from '../store/turns.ts';
import { LateProof } from './late-proof.ts';
import type { LetterDesk } from './letter-desk.ts';
import type { Pressure } from './pressure.ts';
import type { ReceiptDesk } from './receipt-desk.ts';
import { takeBack } from './take-back.ts';

export interface CustodyParts {
  readonly clock: Clock;
  readonly book: AgentBook;
  readonly agents: AgentTable;
  readonly inbox: InboxTable;
  readonly moving: MovingTable;
  readonly letters: LetterDesk;
  readonly desk: ReceiptDesk;
  /** Whom the senders' haste is told of. */
  readonly pressure: Pick<Pressure, 'filled' | 'emptied'>;
  readonly turns: Turns;
  /** Bytes of waiting mail that may stay in memory. */
  readonly memoryBytes: number;
  /** Told of each message taken in, for the announcement that it is held. */
  taken(entry: Entry): void;
}

export type Held = 'held' | 'repeated' | 'ended';
type Arrival = Omit<InboxMeta, 'seq' | 'heldAtUs' | 'level'>;
/** As it comes: to be kept behind what moves here with the agent; or that itself, which has been bounded before. */
export type Coming = 'direct' | 'moved';

export class Custody {
  readonly #parts: CustodyParts;
  readonly proof: LateProof;
  #memoryUsed = 0;
  #dirty = new Set<HostedAgent>();
  /** Those of whose queues something has gone that somebody waits for. */
  #roomy = new Set<HostedAgent>();
  #depth = 0;
  readonly #withdrawn = (entry: Entry) => this.#end(entry, CANCELLED);

  constructor(parts: CustodyParts) {
    this.#parts = parts;
    this.proof = new LateProof(parts);
  }

  /** Messages in custody, all agents together. */
  get depth(): number {
    return this.#depth;
  }

  /** At start: what the disk has, bodies left where they are. */
  load(): void {
    const attempted: Entry[] = [];
    for (const row of this.#parts.inbox.load()) {
      const agent = this.#parts.book.byNum(row.agent);
      if (agent === undefined) continue;
      const entry = newEntry(agent, row, row.size, undefined);
      if (row.seq <= agent.attempts.upTo[row.level]!) {
        entry.delivery = row.delivery;
        attempted.push(entry);
      } else agent.queue.push(entry);
      this.#depth++;
      this.#parts.taken(entry);
    }
    attempted.sort((a, b) => a.delivery - b.delivery);
    for (const entry of attempted) entry.agent.queue.pushAttempted(entry);
    this.proof.load();
    for (const { agent, count, bytes } of this.#parts.moving.heldBack()) {
      const its = this.#parts.book.byNum(agent);
      if (its === undefined) continue;
      Object.assign(its.heldBack, { count, bytes });
      this.#dirty.add(its);
    }
  }

  /**
   * Takes one message for one agent into custody: what was here before is passed over, what does not fit is returned,
   * what is too late expires, each with its receipt.
   */
  hold(
    agent: HostedAgent,
    envelope: Envelope,
    encoded: Uint8Array,
    arrival: Arrival,
    coming: Coming = 'direct',
  ): Held {
    if (coming === 'direct' && (agent.moving.arriving > 0 || agent.heldBack.count > 0))
      return this.#holdBack(agent, envelope, encoded, arrival);
    const nowUs = this.#parts.clock.nowUs();
    const seq = this.#parts.inbox.markSeen(envelope, agent.num, nowUs);
    if (seq === undefined) return 'repeated';
    const meta = { ...arrival, seq, heldAtUs: nowUs, level: priorityLevelOf(envelope.priority) };
    if (arrival.deadlineUs <= nowUs) return this.#refuse(agent, envelope, meta, expired());
    // Of an agent that moves away it follows what it takes back.
    if (envelope.cancels !== '' && agent.moving.leavingEpoch === 0)
      return this.#refuse(agent, envelope, meta, takeBack(agent, envelope, this.#parts, this.#withdrawn));
    const fits = coming === 'moved' || agent.queue.hasRoom(encoded.length);
    if (!fits && !this.#makeRoom(agent, encoded.length, meta.level)) {
      const detail = `${agent.queue.depth} messages wait for ${agent.name}`;
      return this.#refuse(agent, envelope, meta, returned('QUEUE_FULL', detail));
    }
    this.#parts.inbox.insert(agent.num, meta, encoded);
    const entry = newEntry(agent, meta, encoded.length, this.#remember(envelope, encoded.length));
    agent.queue.push(entry);
    this.#depth++;
    this.#dirty.add(agent);
    if (!agent.busy) this.#parts.pressure.filled(agent);
    this.#parts.taken(entry);
    return 'held';
  }

  /** What came to take mail back while the agent was leaving acts now that it stays: no program is to see it. */
  actOnCancels(agent: HostedAgent): void {
    const cancels = [...agent.queue.waiting].filter((entry) => this.envelopeOf(entry).cancels !== '');
    for (const entry of cancels) {
      if (entry.ended) continue;
      agent.queue.withdraw(entry);
      this.#end(entry, takeBack(agent, this.envelopeOf(entry), this.#parts, this.#withdrawn));
    }
  }

  /** All that was held back is in the queue behind what came first, as far as it has room; `all`: however much it is. */
  refill(agent: HostedAgent, all = false): void {
    const { moving } = this.#parts;
    while (agent.heldBack.count > 0) {
      const row = moving.nextHeldBack(agent.num);
      if (row === undefined) break;
      const { envelope, ingressAtUs, routedAtUs, router, deadlineUs } = InboxEntry.decode(row.entry);
      if (!all && !agent.queue.hasRoom(envelope.length)) return;
      moving.removeHeldBack(row.seq);
      agent.heldBack.count--;
      agent.heldBack.bytes -= row.entry.length;
      const arrival = { ingressAtUs, routedAtUs, router, deadlineUs, history: row.history };
      this.hold(agent, Envelope.decode(envelope), envelope, arrival, 'moved');
    }
    agent.heldBack.count = 0;
    agent.heldBack.bytes = 0;
  }

  /** A message that had its end elsewhere: what repeats it has no effect here. */
  remember(agent: HostedAgent, envelope: Pick<Envelope, 'id' | 'fromAgent' | 'attempt'>): void {
    this.#parts.inbox.markSeen(envelope, agent.num, this.#parts.clock.nowUs());
  }

  /** Another node has them now: the next ones of the queue leave it without an end here, and may come again. */
  giveAway(agent: HostedAgent, entries: readonly Entry[]): void {
    for (const entry of entries) {
      // It may have had its end while it was being handed over: what repeats it there has no effect.
      if (entry.ended) continue;
      agent.queue.withdraw(entry);
      this.#parts.inbox.delete(agent.num, entry.seq);
      this.#parts.inbox.forgetSeen(entry.seq);
      this.#drop(entry);
    }
  }

  /** What waits goes back to its senders. */
  returnWaiting(agent: HostedAgent, outcome: Outcome): void {
    while (agent.queue.waiting.length > 0) this.#end(agent.queue.endNext(), outcome);
  }

  /** Ends a message that this node never took in, because the recipient is not here. */
  refuseStranger(recipient: Recipient, envelope: Envelope, arrival: Arrival, outcome: Outcome): void {
    const times = { ...arrival, heldAtUs: 0, deliveredAtUs: 0 };
    const { clock, desk } = this.#parts;
    const receipt = buildReceipt(envelope, recipient, times, outcome, clock.nowUs());
    desk.add(envelope.fromNode, receipt, arrival.history);
  }

  /** A reader is shown something no longer: what waited behind that may be handed over. */
  freed(agent: HostedAgent): void {
    if (agent.queue.wasHeldUp()) this.#dirty.add(agent);
  }

  /** There may be something to hand over to this agent. */
  touch(agent: HostedAgent): void {
    this.#dirty.add(agent);
  }

  /** At the end of a turn: records the attempts that can be made now, and makes them after the commit. */
  dispatch(): void {
    this.#useRoom();
    this.#attemptAll();
    // Attempts end what is too late, and make room in doing so.
    if (this.#roomy.size > 0) this.#parts.turns.after(() => this.#parts.turns.add(() => undefined));
  }

  #useRoom(): void {
    if (this.#roomy.size === 0) return;
    const roomy = this.#roomy;
    this.#roomy = new Set();
    for (const agent of roomy) agent.roomMade?.();
  }

  #attemptAll(): void {
    if (this.#dirty.size === 0) return;
    const dirty = this.#dirty;
    this.#dirty = new Set();
    for (const agent of dirty) {
      const { taker, moving } = agent;
      if (moving.arriving === 0 && agent.heldBack.count > 0) this.refill(agent);
      if (taker === undefined || agent.removed || moving.arriving > 0 || moving.leavingEpoch > 0) continue;
      const entries = this.#attempts(agent);
      if (entries.length === 0) continue;
      this.#parts.agents.setAttempted(agent.num, agent.attempts);
      this.#parts.turns.after(() => taker.deliver(entries));
    }
  }

  /** Ends some that wait, and were handed over at this moment: a mailbox that is read. */
  endRead(agent: HostedAgent, entries: readonly Entry[], outcome: Outcome): void {
    const nowUs = this.#parts.clock.nowUs();
    agent.queue.endWaiting(entries);
    for (const entry of entries) {
      entry.deliveredAtUs = nowUs;
      this.#end(entry, outcome);
    }
    this.freed(agent);
    if (agent.heldBack.count > 0) this.#dirty.add(agent);
  }

  /** Ends messages that were attempted; contiguous ones from the head cost one statement. */
  end(entries: readonly Entry[], outcome: Outcome): void {
    for (const entry of entries) {
      if (entry.ended) continue;
      entry.agent.queue.endAttempted(entry);
      this.#end(entry, outcome);
      this.#dirty.add(entry.agent);
    }
  }

  /** A session whose client cannot tell what it has taken is over. */
  endLostSession(agent: HostedAgent): void {
    this.end([...agent.queue.attempted.values()], SESSION_LOST);
  }

  /** The agent is removed: what waits goes back to its senders. */
  endRemoved(agent: HostedAgent): void {
    this.endLostSession(agent);
    this.refill(agent, true);
    this.returnWaiting(agent, AGENT_REMOVED);
  }

  /** Ends what waited beyond its deadline or was taken back; `nowMs`: by which it is known what is being shown. */
  expire(agent: HostedAgent, nowMs = this.#parts.clock.monotonicMs()): void {
    this.freed(agent);
    const over = agent.queue.takeExpired(this.#parts.clock.nowUs(), nowMs);
    for (const entry of over) this.#end(entry, overdue(entry));
    // There may be room for it now, and it has deadlines too.
    if (agent.heldBack.count > 0) this.#dirty.add(agent);
  }

  /** A message that certainly did not reach the program waits again. Durable: it may then be attempted once more. */
  putBack(entry: Entry): void {
    if (entry.cancelled) this.end([entry], CANCELLED);
    if (entry.ended) return;
    const agent = entry.agent;
    const { delivery, seq, level } = entry;
    agent.queue.putBack(entry);
    if (delivery !== seq) this.#parts.inbox.setDelivery(agent.num, seq, undefined);
    const upTo = agent.attempts.upTo.with(level, seq - 1);
    agent.attempts = { upTo, last: delivery - 1 };
    this.#parts.agents.setAttempted(agent.num, agent.attempts);
  }

  /** A receipt that does not end the custody: how far the message has come. */
  report(entry: Entry, stage: Stage, reason = '', detail = ''): void {
    const outcome = { stage, final: stage === Stage.UNCONFIRMED, reason, detail };
    this.#receipt(entry, outcome);
  }

  envelopeOf(entry: Entry): Envelope {
    if (entry.envelope !== undefined) return entry.envelope;
    const bytes = this.#parts.inbox.envelope(entry.agent.num, entry.seq);
    if (bytes === undefined) throw new Error(`inbox: message ${entry.seq} is gone`);
    return Envelope.decode(bytes);
  }

  #attempts(agent: HostedAgent): Entry[] {
    const nowUs = this.#parts.clock.nowUs();
    const { queue } = agent;
    const entries: Entry[] = [];
    let { last } = agent.attempts;
    const upTo = [...agent.attempts.upTo];
    const nowMs = this.#parts.clock.monotonicMs();
    for (let next = queue.nextFree(nowMs); next !== undefined; next = queue.nextFree(nowMs)) {
      if (next.cancelled || next.deadlineUs <= nowUs) {
        this.#end(queue.endNext(), overdue(next));
        continue;
      }
      if (!agent.taker!.hasRoom(agent, next)) break;
      const entry = queue.attempt(last);
      last = entry.delivery;
      upTo[entry.level] = entry.seq;
      if (last !== entry.seq) this.#parts.inbox.setDelivery(agent.num, entry.seq, last);
      entries.push(entry);
    }
    if (entries.length > 0) agent.attempts = { upTo, last };
    return entries;
  }

  /** By the policy `oldest`, as far as that helps; not of an agent that leaves, whose oldest are being handed over. */
  #makeRoom(agent: HostedAgent, size: number, level: PriorityLevel): boolean {
    const { letters, inbox, clock } = this.#parts;
    if (agent.moving.leavingEpoch > 0) return false;
    if (agent.queue.bounds.drop !== 'oldest' || !letters.hasRoom) return false;
    this.expire(agent);
    const inTheWay = agent.queue.inTheWay(size, level, clock.monotonicMs());
    for (const entry of inTheWay ?? []) {
      const envelope = inbox.envelope(agent.num, entry.seq)!;
      agent.queue.withdraw(entry);
      const detail = `made room for newer mail: ${agent.queue.depth + 1} messages waited for ${agent.name}`;
      letters.add(envelope, this.#end(entry, overflowed(detail)).body);
    }
    return inTheWay !== undefined;
  }

  /** The entry is out of its queue. */
  #end(entry: Entry, outcome: Outcome): { toNode: string; body: Receipt } {
    const receipt = this.#receipt(entry, outcome);
    this.proof.keep(entry, receipt.toNode, receipt.body);
    this.#parts.inbox.delete(entry.agent.num, entry.seq);
    this.#drop(entry);
    return receipt;
  }

  #drop(entry: Entry): void {
    if (entry.envelope !== undefined) this.#memoryUsed -= entry.size;
    entry.ended = true;
    entry.envelope = undefined;
    this.#depth--;
    const { agent } = entry;
    if (agent.roomMade !== undefined) this.#roomy.add(agent);
    if (agent.busy) this.#parts.pressure.emptied(agent);
  }

  /** Until all that moves here with the agent is in its queue; a repetition is known then. */
  #holdBack(agent: HostedAgent, envelope: Envelope, encoded: Uint8Array, arrival: Arrival): Held {
    const entry = encode(InboxEntry, InboxEntry.fromPartial({ ...arrival, envelope: encoded }));
    const { count, bytes } = agent.heldBack;
    if (!agent.queue.wouldHold(count + 1, bytes + entry.length)) {
      const nowUs = this.#parts.clock.nowUs();
      const seq = this.#parts.inbox.markSeen(envelope, agent.num, nowUs);
      if (seq === undefined) return 'repeated';
      const meta = { ...arrival, seq, heldAtUs: nowUs, level: priorityLevelOf(envelope.priority) };
      const detail = `${count} messages wait until ${agent.name} has arrived here`;
      return this.#refuse(agent, envelope, meta, returned('QUEUE_FULL', detail));
    }
    this.#parts.moving.holdBack(agent.num, arrival.history, entry);
    agent.heldBack.count++;
    agent.heldBack.bytes += entry.length;
    return 'held';
  }

  #receipt(entry: Entry, outcome: Outcome): { toNode: string; body: Receipt } {
    const { clock, desk } = this.#parts;
    const envelope = this.envelopeOf(entry);
    const body = buildReceipt(envelope, entry.agent, entry, outcome, clock.nowUs());
    const repeated = entry.unconfirmed && outcome.stage === Stage.UNCONFIRMED;
    if (!repeated) desk.add(envelope.fromNode, body, entry.history);
    return { toNode: envelope.fromNode, body };
  }

  #refuse(agent: HostedAgent, envelope: Envelope, meta: InboxMeta, outcome: Outcome): Held {
    const { clock, desk } = this.#parts;
    const receipt = buildReceipt(envelope, agent, { ...meta, deliveredAtUs: 0 }, outcome, clock.nowUs());
    desk.add(envelope.fromNode, receipt, meta.history);
    return 'ended';
  }

  /** A copy of its own, so that one small message does not keep the memory of its whole pack. */
  #remember(envelope: Envelope, size: number): Envelope | undefined {
    if (this.#memoryUsed + size > this.#parts.memoryBytes) return undefined;
    this.#memoryUsed += size;
    return { ...envelope, body: envelope.body.slice() };
  }
}
