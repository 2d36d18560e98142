/** Accepting mail of this node's agents: from then on it is on this node's disk. */

import { crc32 } from 'node:zlib';
import { LIMITS } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Envelope } from '@fleetwire/gen/message';
import type { Outgoing } from '@fleetwire/gen/node';
import { type Clock, FleetwireError, newMessageId, priorityLevelOf } from '@fleetwire/kernel';
import type { HopTracer } from '@fleetwire/telemetry';
import { isTraceparent } from '@fleetwire/telemetry';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import { checkOutgoing, ttlOf } from '../domain/checks.ts';
import type { Outbox } from '../domain/outbox.ts';
import { laneOf, waitingRow } from '../domain/outbox-row.ts';
import type { OutboxTable, SentRow } from '../store/outbox-table.ts';
import type { Turns } from '../store/turns.ts';
import type { AskWatch } from './ask-watch.ts';
import { type Cancels, TOOK_BACK } from './cancels.ts';
import type { Custody } from './custody.ts';
import type { Progress } from './progress.ts';
import type { Way, Ways } from './ways.ts';

export interface AcceptanceParts {
  readonly node: string;
  readonly org: string;
  readonly clock: Clock;
  readonly tracer: HopTracer;
  readonly ways: Ways;
  readonly outbox: Outbox;
  readonly table: OutboxTable;
  readonly custody: Custody;
  readonly progress: Pick<Progress, 'served'>;
  readonly cancels: Pick<Cancels, 'inOrder' | 'withdraws' | 'settle'>;
  readonly asks: Pick<AskWatch, 'asked'>;
  readonly turns: Turns;
  /** There is something for the broker. */
  publish(): void;
  /** A copy for history was left out, because too many wait already. */
  historySkipped(): void;
}

export interface Accepted {
  readonly id: string;
  readonly correlationId: string;
  readonly traceparent: string;
}

export class Acceptance {
  readonly #parts: AcceptanceParts;

  constructor(parts: AcceptanceParts) {
    this.#parts = parts;
  }

  /**
   * Inside a turn. Throws a FleetwireError, with nothing changed, for what is refused. An id accepted before is
   * answered with the first acceptance and not sent again; with another recipient or body it is refused.
   */
  accept(agent: HostedAgent, sent: Outgoing): Accepted {
    const address = checkOutgoing(sent);
    const message = this.#parts.cancels.inOrder(sent);
    const { table, outbox, turns, ways, clock } = this.#parts;
    const digest = digestOf(message);
    if (message.id !== '') {
      const before = table.findSent(message.id);
      if (before !== undefined) return again(agent, before, digest);
    }
    const level = priorityLevelOf(message.priority);
    const way = this.#parts.cancels.withdraws(agent, message) ? TOOK_BACK : ways.of(agent, address, level);
    const size = message.body.length + LIMITS.addressChars;
    if (!way.stays) {
      const refusal = outbox.refusal(agent.num, size, laneOf(address), clock.monotonicMs());
      if (refusal !== undefined) throw refusal;
    }
    // Last, since what is refused counts for nothing.
    if (way !== TOOK_BACK) ways.spend(agent);
    const envelope = this.#envelope(agent, message, way);
    const encoded = encode(Envelope, envelope);
    const { id, correlationId, traceparent, acceptedAtUs } = envelope;
    table.insertSent(id, agent.num, acceptedAtUs, correlationId, traceparent, digest);
    const published = !way.stays || outbox.roomForHistory(size);
    if (published) {
      const row = { id, agent: agent.num, local: way.stays, envelope: encoded };
      const seq = table.insert(id, row.agent, row.local, encoded);
      outbox.push(waitingRow({ ...row, seq }, address, envelope));
      turns.after(this.#parts.publish);
    } else this.#parts.historySkipped();
    if (way === TOOK_BACK) this.#parts.cancels.settle(envelope, published);
    if (message.answerWithinMs > 0) this.#parts.asks.asked(agent.num, envelope);
    if (way.served) this.#parts.progress.served(id, way.here.length, way.stays);
    for (const local of way.here) this.#holdLocal(local, envelope, encoded, published);
    for (const behind of way.behind) behind.fence.sent(agent.id, id, level);
    return { id, correlationId, traceparent };
  }

  #holdLocal(agent: HostedAgent, envelope: Envelope, encoded: Uint8Array, history: boolean): void {
    const deadlineUs = envelope.acceptedAtUs + envelope.ttlMs * 1000;
    const arrival = { ingressAtUs: 0, routedAtUs: 0, router: '', deadlineUs, history };
    this.#parts.custody.hold(agent, envelope, encoded, arrival);
  }

  #envelope(agent: HostedAgent, message: Outgoing, way: Way): Envelope {
    const { clock, node, org, tracer } = this.#parts;
    const id = message.id === '' ? newMessageId(clock) : message.id;
    const parent = isTraceparent(message.traceparent) ? message.traceparent : '';
    const span = tracer.hop('fleetwire.accept', parent, () => ({
      'messaging.system': 'fleetwire',
      'messaging.operation.type': 'send',
      'messaging.message.id': id,
    }));
    span.end();
    return {
      id,
      org,
      fromAgent: agent.id,
      fromName: agent.name,
      fromNode: node,
      to: message.to,
      correlationId: message.correlationId === '' ? id : message.correlationId,
      replyTo: message.replyTo,
      traceparent: span.traceparent,
      acceptedAtUs: clock.nowUs(),
      ttlMs: ttlOf(message),
      contentType: message.contentType,
      local: way.stays,
      localAgent: way.localAgent,
      body: message.body,
      priority: message.priority,
      localServed: way.served,
      attempt: 0,
      cancels: message.cancels,
      answerWithinMs: message.answerWithinMs,
    };
  }
}

function again(agent: HostedAgent, before: SentRow, digest: number): Accepted {
  const { id, correlationId, traceparent } = before;
  if (before.agent !== agent.num)
    throw new FleetwireError('already_exists', 'MESSAGE_ID_TAKEN', `another agent has sent ${id}`, {
      help: 'Make a new id for each message.',
    });
  if (before.digest === undefined || before.digest === digest) return { id, correlationId, traceparent };
  const said = `${id} was accepted before, for another recipient or with another body`;
  throw new FleetwireError('already_exists', 'MESSAGE_ID_REUSED', said, {
    help: 'Make a new id for each message; repeat an id only with the same message.',
    details: { message_id: id },
  });
}

/** Over recipient and body: finds a sender's mistake, not an attack, for ids are each sender's own. */
function digestOf({ to, body }: Outgoing): number {
  return crc32(body, crc32(`${to}\n`));
}
