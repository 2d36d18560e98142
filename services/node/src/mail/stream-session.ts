/** One agent's stream: deliveries within its window, acknowledgements, and what becomes of the rest when it ends. */

import type { Envelope } from '@fleetwire/gen/message';
import type { AttachHello, Delivery, DeliveryAck } from '@fleetwire/gen/node';
import type { Clock } from '@fleetwire/kernel';
import type { HostedAgent, Taker } from '../agents/hosted-agent.ts';
import type { Entry } from '../domain/queue.ts';
import { confirmed } from '../domain/receipt.ts';
import type { AgentTable } from '../store/agent-table.ts';
import type { Turns } from '../store/turns.ts';
import type { Custody } from './custody.ts';
import type { Outflow } from './outflow.ts';

const WINDOW_DEFAULT = 256;
const WINDOW_MAX = 4096;
/** Bytes of one batch of deliveries, so that one answer stays far below what gRPC allows. */
const BATCH_BYTES = 1024 * 1024;

export interface SessionParts {
  readonly agent: HostedAgent;
  readonly number: number;
  readonly hello: AttachHello;
  readonly windowBytes: number;
  readonly clock: Clock;
  readonly custody: Custody;
  readonly agents: AgentTable;
  readonly turns: Turns;
  readonly outflow: Outflow;
}

export class StreamSession implements Taker {
  readonly number: number;
  readonly agent: HostedAgent;
  readonly #parts: SessionParts;
  readonly #window: number;
  #highest = 0;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.number = parts.number;
    this.agent = parts.agent;
    this.#window = Math.min(parts.hello.window || WINDOW_DEFAULT, WINDOW_MAX);
  }

  /** Programs that the node hands mail to itself may send by a session, not receive. */
  get receives(): boolean {
    return this.agent.adapter === 'stream' || this.agent.adapter === 'mailbox';
  }

  /** Inside a turn: this session takes the agent's mail from now on; the one before it ends. */
  begin(): void {
    if (!this.receives) return;
    const { agent, custody, agents, hello, turns } = this.#parts;
    if (agent.moving.leavingEpoch > 0) {
      turns.after(() => this.goodbye('AGENT_MOVED', 'the agent lives on another node now'));
      return;
    }
    const before = agent.taker;
    if (before instanceof StreamSession) {
      turns.after(() => before.goodbye('SUPERSEDED', 'another session of this agent has taken over'));
    }
    if (hello.resuming && hello.resume !== undefined) this.#resume(hello.resume);
    else {
      custody.endLostSession(agent);
      // But for what a reader is being shown, who is told when it confirms.
      const shown = [...agent.queue.waiting].filter((entry) => entry.cancelled);
      agent.cancelled.clear();
      for (const entry of shown) agent.addCancelled(custody.envelopeOf(entry).id);
    }
    if (agent.resuming !== hello.resuming) {
      agent.resuming = hello.resuming;
      agents.setResuming(agent.num, hello.resuming);
    }
    agent.taker = this;
    custody.touch(agent);
    const again = [...agent.queue.attempted.values()];
    if (again.length > 0) turns.after(() => this.deliver(again));
    if (agent.cancelled.size > 0) turns.after(() => this.cancelled([...agent.cancelled]));
  }

  hasRoom(agent: HostedAgent, entry: Entry): boolean {
    const { attempted, attemptedBytes } = agent.queue;
    if (attempted.size === 0) return true;
    return attempted.size < this.#window && attemptedBytes + entry.size <= this.#parts.windowBytes;
  }

  deliver(entries: readonly Entry[]): void {
    const nowUs = this.#parts.clock.nowUs();
    let deliveries: Delivery[] = [];
    let bytes = 0;
    for (const entry of entries) {
      if (entry.ended) continue;
      const envelope = this.#parts.custody.envelopeOf(entry);
      if (entry.deliveredAtUs === 0) entry.deliveredAtUs = nowUs;
      if (entry.delivery > this.#highest) this.#highest = entry.delivery;
      if (deliveries.length > 0 && bytes + entry.size > BATCH_BYTES) {
        this.#parts.outflow.push({ deliver: { deliveries } });
        deliveries = [];
        bytes = 0;
      }
      deliveries.push(deliveryOf(entry, envelope, nowUs));
      bytes += entry.size;
    }
    if (deliveries.length > 0) this.#parts.outflow.push({ deliver: { deliveries } });
  }

  /** Inside a turn. What was not delivered by this session cannot be acknowledged by it; a second time changes nothing. */
  acknowledge(ack: DeliveryAck): void {
    if (this.agent.taker !== this) return;
    const unknown = unknownIn(ack, this.#highest);
    if (unknown.length > 0) this.#parts.turns.after(() => this.#tellUnknown(unknown));
    this.#parts.custody.end(this.agent.queue.named(ack, this.#highest), confirmed());
  }

  #tellUnknown(sequences: number[]): void {
    const highest = this.#highest;
    const message = `nothing was sent in this session as ${sequences.join(', ')}; the highest is ${highest}`;
    this.#parts.outflow.push({ ackUnknown: { reason: 'ACK_UNKNOWN', message, sequences, highest } });
  }

  /** Its client does not read: what waits to be sent is dropped, and its mail is kept for its next session. */
  cut(reason: string, message: string): void {
    this.#parts.outflow.cut({ goodbye: { reason, message } });
  }

  cancelled(ids: readonly string[]): void {
    this.#parts.outflow.push({ cancelled: { ids: [...ids] } });
  }

  goodbye(reason: string, message: string): void {
    this.#parts.outflow.push({ goodbye: { reason, message } });
    this.#parts.outflow.end();
  }

  /** Inside a turn: the stream has ended. */
  end(): void {
    const { agent, custody } = this.#parts;
    if (agent.taker !== this) return;
    agent.taker = undefined;
    if (!agent.resuming) custody.endLostSession(agent);
  }

  #resume(resume: DeliveryAck): void {
    const { agent, custody } = this.#parts;
    custody.end(agent.queue.named(resume, agent.attempts.last), confirmed('the client had it'));
    const also = new Set(resume.also);
    for (const [delivery, seq] of agent.unproven)
      if (delivery <= resume.upTo || also.has(delivery)) custody.proof.prove(agent, delivery, seq);
  }
}

const UNKNOWN_TOLD = 16;

/** What was certainly never sent, at most UNKNOWN_TOLD of it. */
function unknownIn({ upTo, also }: DeliveryAck, highest: number): number[] {
  const unknown = upTo > highest ? [upTo] : [];
  for (const sequence of also) {
    if (unknown.length === UNKNOWN_TOLD) break;
    if (sequence === 0 || sequence > highest) unknown.push(sequence);
  }
  return unknown;
}

/** `nowUs`: broker time. */
export function deliveryOf(
  entry: Pick<Entry, 'seq' | 'delivery' | 'ingressAtUs'>,
  envelope: Envelope,
  nowUs: number,
): Delivery {
  const { id, fromAgent, fromName, to, body, contentType } = envelope;
  const { correlationId, replyTo, traceparent, acceptedAtUs, priority } = envelope;
  const head = { sequence: entry.delivery || entry.seq, id, fromAgent, fromName, to, body, contentType };
  const answer = answerTimes(envelope, entry.ingressAtUs, nowUs);
  return { ...head, correlationId, replyTo, traceparent, acceptedAtUs, priority, ...answer };
}

/** Counted from where the broker accepted it; what never left this node, from its acceptance here. */
function answerTimes({ answerWithinMs, acceptedAtUs }: Envelope, ingressAtUs: number, nowUs: number) {
  if (answerWithinMs === 0) return NO_ANSWER;
  const answerByUs = (ingressAtUs || acceptedAtUs) + answerWithinMs * 1000;
  const leftMs = Math.ceil((answerByUs - nowUs) / 1000);
  return { answerByUs, answerLeftMs: Math.min(answerWithinMs, Math.max(0, leftMs)) };
}

const NO_ANSWER = { answerByUs: 0, answerLeftMs: 0 } as const;
