/** One agent's mail in custody: first what was attempted and has not ended, then what waits; bounded together. */

import type { Envelope } from '@fleetwire/gen/message';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import type { InboxMeta } from '../store/inbox-table.ts';
import { Deque } from './deque.ts';

/** One message for one agent. */
export interface Entry extends InboxMeta {
  readonly agent: HostedAgent;
  /** Bytes of the encoded envelope. */
  readonly size: number;
  /** Absent when memory was short: then the disk has it. */
  envelope: Envelope | undefined;
  /** When it was handed over, broker time; 0: not yet, or before the node's last start. */
  deliveredAtUs: number;
  /** The sender has been told that it is held or delivered. */
  announced: boolean;
  /** The sender has been told that there is no proof yet. */
  unconfirmed: boolean;
  /** Ended; a reference that is still in some queue is to be passed over. */
  ended: boolean;
}

export interface QueueBounds {
  readonly messages: number;
  readonly bytes: number;
}

export class AgentQueue {
  readonly #bounds: QueueBounds;
  readonly waiting = new Deque<Entry>();
  /** By sequence, ascending. */
  readonly attempted = new Map<number, Entry>();
  readonly #arrivals = new Set<() => void>();
  #bytes = 0;
  #attemptedBytes = 0;
  /** No entry that waits has an earlier deadline than this. */
  #earliestUs = Number.POSITIVE_INFINITY;

  constructor(bounds: QueueBounds) {
    this.#bounds = bounds;
  }

  get depth(): number {
    return this.waiting.length + this.attempted.size;
  }

  get attemptedBytes(): number {
    return this.#attemptedBytes;
  }

  /** Always for a first message, however large. */
  hasRoom(size: number): boolean {
    const depth = this.depth;
    return depth === 0 || (depth < this.#bounds.messages && this.#bytes + size <= this.#bounds.bytes);
  }

  /** Would so much be within the bounds of a queue of its own? */
  wouldHold(messages: number, bytes: number): boolean {
    return messages <= this.#bounds.messages && (messages <= 1 || bytes <= this.#bounds.bytes);
  }

  /** Would so many messages fit, whatever their size? More than half of the queue is never asked for. */
  hasRoomFor(count: number): boolean {
    const messages = Math.min(count, Math.ceil(this.#bounds.messages / 2));
    return this.depth + messages <= this.#bounds.messages && this.#bytes * 4 <= this.#bounds.bytes * 3;
  }

  /** Resolves when something is put in, at the time-out, or when `signal` aborts. */
  arrival(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#arrivals.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener('abort', done, { once: true });
      this.#arrivals.add(done);
    });
  }

  push(entry: Entry): void {
    this.waiting.push(entry);
    if (this.#arrivals.size > 0) for (const wake of this.#arrivals) wake();
    this.#bytes += entry.size;
    if (entry.deadlineUs < this.#earliestUs) this.#earliestUs = entry.deadlineUs;
  }

  /** Puts back what a restart found to have been attempted. */
  pushAttempted(entry: Entry): void {
    this.attempted.set(entry.seq, entry);
    this.#bytes += entry.size;
    this.#attemptedBytes += entry.size;
  }

  /** Takes the head over to the attempted ones. */
  attempt(): Entry {
    const entry = this.waiting.shift()!;
    this.attempted.set(entry.seq, entry);
    this.#attemptedBytes += entry.size;
    return entry;
  }

  /** Undoes `attempt` for a message that certainly did not get there; only while nothing later was attempted. */
  putBack(entry: Entry): void {
    this.attempted.delete(entry.seq);
    this.#attemptedBytes -= entry.size;
    const rest = this.waiting.take(() => true);
    this.waiting.push(entry);
    for (const item of rest) this.waiting.push(item);
    if (entry.deadlineUs < this.#earliestUs) this.#earliestUs = entry.deadlineUs;
  }

  /** Takes out an attempted one that has ended. */
  endAttempted(entry: Entry): void {
    if (!this.attempted.delete(entry.seq)) return;
    this.#bytes -= entry.size;
    this.#attemptedBytes -= entry.size;
  }

  /** Takes the head out that ends without an attempt. */
  endHead(): Entry {
    const entry = this.waiting.shift()!;
    this.#bytes -= entry.size;
    return entry;
  }

  /** Takes out what waits beyond its deadline. */
  takeExpired(nowUs: number): Entry[] {
    if (nowUs < this.#earliestUs) return [];
    const expired = this.waiting.take((entry) => entry.deadlineUs <= nowUs);
    this.#earliestUs = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.waiting.length; i++)
      this.#earliestUs = Math.min(this.#earliestUs, this.waiting.at(i)!.deadlineUs);
    for (const entry of expired) this.#bytes -= entry.size;
    return expired;
  }

  /** The attempted ones that an acknowledgement names, ascending; what it names beyond `limit` does not count. */
  named(ack: { readonly upTo: number; readonly also: readonly number[] }, limit: number): Entry[] {
    const found: Entry[] = [];
    const upTo = Math.min(ack.upTo, limit);
    for (const [seq, entry] of this.attempted) {
      if (seq > upTo) break;
      found.push(entry);
    }
    for (const seq of ack.also) {
      const entry = seq > upTo && seq <= limit ? this.attempted.get(seq) : undefined;
      if (entry !== undefined) found.push(entry);
    }
    return found;
  }
}
