/** Reading an agent's mailbox: what is read is confirmed; a reader may wait for a first message. */

import type { Delivery, ReadInboxResponse } from '@fleetwire/gen/node';
import { FleetwireError } from '@fleetwire/kernel';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import type { Entry } from '../domain/queue.ts';
import { confirmed } from '../domain/receipt.ts';
import type { Turns } from '../store/turns.ts';
import type { Custody } from './custody.ts';
import { deliveryOf, StreamSession } from './stream-session.ts';

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 500;
const WAIT_MAX_MS = 60_000;
/** Bytes of one answer; a first message is always given. */
const ANSWER_BYTES = 4 * 1024 * 1024;

export interface ReadOptions {
  readonly limit: number;
  readonly waitMs: number;
  readonly peek: boolean;
}

export class Mailbox {
  readonly #custody: Custody;
  readonly #turns: Turns;

  constructor(custody: Custody, turns: Turns) {
    this.#custody = custody;
    this.#turns = turns;
  }

  async read(agent: HostedAgent, options: ReadOptions, signal: AbortSignal): Promise<ReadInboxResponse> {
    const refusal = options.peek ? undefined : whoTakes(agent);
    if (refusal !== undefined) throw refusal;
    if (agent.queue.waiting.length === 0 && options.waitMs > 0) {
      await agent.queue.arrival(Math.min(options.waitMs, WAIT_MAX_MS), signal);
    }
    const limit = Math.min(options.limit || LIMIT_DEFAULT, LIMIT_MAX);
    const answer = await this.#turns.run(() =>
      options.peek ? this.#look(agent, limit) : this.#take(agent, limit),
    );
    if (answer instanceof FleetwireError) throw answer;
    return answer;
  }

  #look(agent: HostedAgent, limit: number): ReadInboxResponse {
    const deliveries: Delivery[] = [];
    for (const entry of fitting(agent, limit)) {
      deliveries.push(deliveryOf(entry, this.#custody.envelopeOf(entry)));
    }
    return { deliveries, remaining: agent.queue.waiting.length - deliveries.length };
  }

  /** Inside a turn, which a refusal must not undo: somebody may have come to take the mail since the first look. */
  #take(agent: HostedAgent, limit: number): ReadInboxResponse | FleetwireError {
    const refusal = whoTakes(agent);
    if (refusal !== undefined) return refusal;
    this.#custody.expire(agent);
    const read = this.#custody.read(agent, fitting(agent, limit).length, confirmed('read from the mailbox'));
    const deliveries = read.map(({ entry, envelope }) => deliveryOf(entry, envelope));
    return { deliveries, remaining: agent.queue.waiting.length };
  }
}

/** Those that come next, as many as fit into one answer. */
function fitting(agent: HostedAgent, limit: number): Entry[] {
  const next: Entry[] = [];
  let bytes = 0;
  for (const entry of agent.queue.waiting.ahead()) {
    bytes += entry.size;
    if (next.length >= limit || (next.length > 0 && bytes > ANSWER_BYTES)) break;
    next.push(entry);
  }
  return next;
}

/** The error for a reader when the mail goes elsewhere. */
function whoTakes(agent: HostedAgent): FleetwireError | undefined {
  if (agent.taker === undefined) return undefined;
  const how = agent.taker instanceof StreamSession ? 'a session' : 'its program';
  return new FleetwireError(
    'failed_precondition',
    'MAIL_GOES_ELSEWHERE',
    `${agent.name} gets its mail by ${how}`,
    {
      help: 'Look without taking (peek), or end the session first.',
    },
  );
}
