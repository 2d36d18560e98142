/** What readers of one mailbox leave to each other: mail that one has been shown, and answers that one waits for. */

import type { Envelope } from '@fleetwire/gen/message';
import { keepNewest } from '@fleetwire/kernel';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import type { Entry } from '../domain/queue.ts';

/** Answers of one agent that are waited for; beyond them the oldest are anybody's. */
const AWAITED_MAX = 1000;
/** Between two calls that wait for the same answer. */
const AWAITED_MS = 5000;

/** Times are monotonic milliseconds; nothing of this outlives the process, for it only spares readers the same mail twice. */
export class Reserved {
  readonly #shown = new WeakMap<Entry, number>();
  readonly #awaited = new WeakMap<HostedAgent, Map<string, number>>();

  show(entries: readonly Entry[], untilMs: number): void {
    for (const entry of entries) this.#shown.set(entry, untilMs);
  }

  /** Somebody waits for what answers message `id`, until then and for a moment longer. */
  await(agent: HostedAgent, id: string, untilMs: number): void {
    const awaited = this.#awaited.get(agent) ?? new Map<string, number>();
    awaited.delete(id);
    awaited.set(id, untilMs + AWAITED_MS);
    keepNewest(awaited, AWAITED_MAX);
    this.#awaited.set(agent, awaited);
  }

  isShown(entry: Entry, nowMs: number): boolean {
    return (this.#shown.get(entry) ?? 0) > nowMs;
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
