/** How much may go to each recipient that has said that it is busy, and until when: from PEER_BUSY, PEER_READY and receipts. */

import type { Receipt } from '@fleetwire/gen/message';
import { foldName } from '@fleetwire/kernel';
import { type Busy, type Ready, STOP } from './peer-signal.ts';

export interface FlowRules {
  /** A BUSY holds mail back for this long at most, whatever it says. */
  readonly busyMaxMs: number;
  /** How long after the last word about a recipient its mail flows freely again. */
  readonly creditLapseMs: number;
  /** Recipients about which something is known; beyond, the one that was heard of least lately flows freely. */
  readonly recipientsMax: number;
}

/** One recipient whose mail is held back. */
export interface Flow {
  /** Its name, folded; ALL: whatever this node sends. */
  readonly lane: string;
  readonly agent: string;
  readonly name: string;
  /** The name of its node, folded. */
  readonly node: string;
  publisher: string;
  seq: number;
  /** As in PeerBusy; empty after a READY to which no BUSY was heard. */
  reason: string;
  /** Messages that may go, besides the one in flight. */
  credits: number;
  /** Monotonic milliseconds; then it is over, or only one message more goes. */
  untilMs: number;
  state: 'busy' | 'credits';
  /** Id of the one message that went without a credit and has not ended. */
  inFlight: string | undefined;
  /** What was in flight came back for want of room: no other one is tried until something is said. */
  refused: boolean;
}

/** The lane of whatever this node sends: no agent has this name. */
export const ALL = '';

/** Reasons by which a message comes back because there was no room for it. */
const NO_ROOM: ReadonlySet<string> = new Set(['QUEUE_FULL', 'INBOX_FULL']);

/**
 * A recipient is open (not in here), or busy: one message in flight, or has credits: so many messages, then one in flight.
 * A message in flight ends by a final receipt about it. A BUSY that lapses lets one further message go, and after
 * `creditLapseMs` without a word the recipient is open. While a router says stop, nothing goes at all. Times are monotonic
 * milliseconds.
 */
export class RecipientFlows {
  readonly #rules: FlowRules;
  /** In the order in which they were last heard of. */
  readonly #flows = new Map<string, Flow>();
  /** Message id to lane, but for ALL: one message may be in flight for its recipient and for the whole. */
  readonly #inFlight = new Map<string, string>();
  /** Nothing lapses before this. */
  #earliestMs = Number.POSITIVE_INFINITY;

  constructor(rules: FlowRules) {
    this.#rules = rules;
  }

  get size(): number {
    return this.#flows.size;
  }

  /** Is a receipt of use here? */
  get waitsForReceipts(): boolean {
    return this.#inFlight.size > 0 || this.#flows.get(ALL)?.inFlight !== undefined;
  }

  of(lane: string): Flow | undefined {
    return this.#flows.get(lane);
  }

  /** Is mail for this recipient held back: by name, and by node where the address has one (folded)? */
  holds(lane: string, node: string | undefined): boolean {
    const flow = this.#flows.get(lane);
    return flow !== undefined && (node === undefined || node === flow.node);
  }

  /** How many messages may go now. */
  allowance(lane: string): number {
    const flow = this.#flows.get(lane);
    if (flow === undefined) return Number.POSITIVE_INFINITY;
    if (flow.reason === STOP) return 0;
    return flow.credits + (flow.inFlight === undefined && !flow.refused ? 1 : 0);
  }

  /** Lanes for which something has changed; what is older than what was heard changes nothing. */
  hear(signal: Busy | Ready, nowMs: number): string[] {
    const lane = foldName(signal.name);
    const before = this.#flows.get(lane);
    if (before !== undefined && before.publisher === signal.publisher && signal.seq <= before.seq) return [];
    if (before !== undefined && outlasts(before, signal, nowMs)) return [];
    const flow = sameAgent(before, signal) ? before : this.#begin(lane, signal);
    flow.publisher = signal.publisher;
    flow.seq = signal.seq;
    flow.state = signal.kind === 'busy' ? 'busy' : 'credits';
    if (signal.kind === 'busy') {
      flow.reason = signal.reason;
      flow.credits = 0;
      flow.untilMs = nowMs + Math.min(signal.retryAfterMs, this.#rules.busyMaxMs);
    } else {
      flow.credits = signal.credits;
      flow.refused = false;
      flow.untilMs = nowMs + this.#rules.creditLapseMs;
    }
    this.#earliestMs = Math.min(this.#earliestMs, flow.untilMs);
    this.#flows.delete(lane);
    this.#flows.set(lane, flow);
    return [lane, ...this.#evict()];
  }

  /** A message for a recipient that is in here is on its way, as its allowance permits. */
  took(lane: string, id: string): void {
    const flow = this.#flows.get(lane);
    if (flow === undefined) return;
    if (flow.credits > 0) flow.credits--;
    else {
      flow.inFlight = id;
      if (lane !== ALL) this.#inFlight.set(id, lane);
    }
  }

  /** What receipts end; for ALL any word about the message will do: it is out of the router. Gives lanes to look at. */
  heard(receipts: readonly Pick<Receipt, 'messageId' | 'final' | 'reason'>[]): string[] {
    const lanes: string[] = [];
    const all = this.#flows.get(ALL);
    for (const { messageId, final, reason } of receipts) {
      if (all?.inFlight === messageId) {
        all.inFlight = undefined;
        lanes.push(ALL);
      }
      const lane = final ? this.#inFlight.get(messageId) : undefined;
      if (lane === undefined) continue;
      const flow = this.#flows.get(lane)!;
      this.#land(flow);
      if (NO_ROOM.has(reason)) flow.refused = true;
      else lanes.push(lane);
    }
    return lanes;
  }

  /** Lanes for which something has changed by time alone. */
  lapse(nowMs: number): string[] {
    if (nowMs < this.#earliestMs) return [];
    const lanes: string[] = [];
    this.#earliestMs = Number.POSITIVE_INFINITY;
    for (const flow of this.#flows.values()) {
      if (flow.untilMs <= nowMs) {
        lanes.push(flow.lane);
        if (flow.state === 'credits' || flow.lane === ALL) this.#end(flow.lane);
        else this.#feelAhead(flow, nowMs);
      }
      if (flow.untilMs > nowMs) this.#earliestMs = Math.min(this.#earliestMs, flow.untilMs);
    }
    return lanes;
  }

  /** When to call `lapse` next; infinite: nothing is in here. */
  get nextLapseMs(): number {
    return this.#earliestMs;
  }

  /** A BUSY has lapsed, and nobody has said that there is room: one further message shows it. */
  #feelAhead(flow: Flow, nowMs: number): void {
    this.#land(flow);
    flow.state = 'credits';
    flow.refused = false;
    flow.untilMs = nowMs + this.#rules.creditLapseMs;
  }

  #begin(lane: string, { agent, name, node, publisher, seq }: Busy | Ready): Flow {
    this.#end(lane);
    const state = { reason: '', credits: 0, untilMs: 0, state: 'busy', inFlight: undefined, refused: false };
    return { lane, agent, name, node, publisher, seq, ...state } as Flow;
  }

  #evict(): string[] {
    if (this.#flows.size <= this.#rules.recipientsMax) return [];
    const oldest = this.#flows.keys().next().value!;
    this.#end(oldest);
    return [oldest];
  }

  #end(lane: string): void {
    const flow = this.#flows.get(lane);
    if (flow === undefined) return;
    this.#land(flow);
    this.#flows.delete(lane);
  }

  /** Its message is in flight no more. */
  #land(flow: Flow): void {
    if (flow.inFlight === undefined) return;
    if (flow.lane !== ALL) this.#inFlight.delete(flow.inFlight);
    flow.inFlight = undefined;
  }
}

/** Another agent by this name, or the same elsewhere, begins anew. */
function sameAgent(flow: Flow | undefined, { agent, name, node }: Busy | Ready): flow is Flow {
  return flow !== undefined && flow.agent === agent && flow.name === name && flow.node === node;
}

/** Who is to stop does not go on because of a later word that asks for less: it stops until the last such word lapses. */
function outlasts(flow: Flow, signal: Busy | Ready, nowMs: number): boolean {
  return flow.reason === STOP && nowMs < flow.untilMs && !(signal.kind === 'busy' && signal.reason === STOP);
}
