/** What is remembered of the readers of mailboxes: the answers that one waits for, and what was read a moment ago. */

import type { Envelope } from '@fleetwire/gen/message';
import { keepNewest } from '@fleetwire/kernel';
import type { HostedAgent } from '../agents/hosted-agent.ts';

/** Answers of one agent that are waited for; beyond them the oldest are anybody's. */
const AWAITED_MAX = 1000;
/** Between two calls that wait for the same answer. */
const AWAITED_MS = 5000;
/** Messages of one agent that are known to have been read, for calls that confirm once more. */
const READ_MAX = 1000;

/** Times are monotonic milliseconds; nothing of this outlives the process, for it only spares readers the same mail twice. */
export class Reserved {
  readonly #awaited = new WeakMap<HostedAgent, Map<string, number>>();
  readonly #read = new WeakMap<HostedAgent, Set<string>>();

  addRead(agent: HostedAgent, ids: readonly string[]): void {
    const read = this.#read.get(agent) ?? new Set<string>();
    for (const id of ids) read.add(id);
    keepNewest(read, READ_MAX);
    this.#read.set(agent, read);
  }

  wasRead(agent: HostedAgent, id: string): boolean {
    return this.#read.get(agent)?.has(id) === true;
  }

  /** Somebody waits for what answers message `id`, until then and for a moment longer. */
  await(agent: HostedAgent, id: string, untilMs: number): void {
    const awaited = this.#awaited.get(agent) ?? new Map<string, number>();
    awaited.delete(id);
    awaited.set(id, untilMs + AWAITED_MS);
    keepNewest(awaited, AWAITED_MAX);
    this.#awaited.set(agent, awaited);
  }

  /** Are answers of this agent waited for by anybody? */
  isWaiting(agent: HostedAgent, nowMs: number): boolean {
    const awaited = this.#awaited.get(agent);
    if (awaited === undefined) return false;
    for (const [id, untilMs] of awaited) if (untilMs <= nowMs) awaited.delete(id);
    if (awaited.size === 0) this.#awaited.delete(agent);
    return awaited.size > 0;
  }

  /** Does it answer what somebody waits for? */
  isAwaited(agent: HostedAgent, { replyTo, correlationId, id }: Envelope): boolean {
    const awaited = this.#awaited.get(agent);
    if (awaited === undefined) return false;
    return awaited.has(replyTo) || (correlationId !== id && awaited.has(correlationId));
  }
}
