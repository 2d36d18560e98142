/** One agent's mail in custody: first what was attempted and has not ended, then what waits; bounded together. */

import type { Envelope } from '@fleetwire/gen/message';
import type { PriorityLevel } from '@fleetwire/kernel';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import type { InboxMeta } from '../store/inbox-table.ts';
import { Levels } from './levels.ts';
import { isShown, type Shown } from './shown.ts';

/** One message for one agent. */
export interface Entry extends InboxMeta {
  readonly agent: HostedAgent;
  /** Bytes of the encoded envelope. */
  readonly size: number;
  /** Absent when memory was short: then the disk has it. */
  envelope: Envelope | undefined;
  /** By which its agent knows the delivery, ascending in the order of attempts; 0 while it waits. */
  delivery: number;
  /** When it was handed over, broker time; 0: not yet, or before the node's last start. */
  deliveredAtUs: number;
  /** The sender has been told that it is held or delivered. */
  announced: boolean;
  /** The sender has been told that there is no proof yet. */
  unconfirmed: boolean;
  /** Its sender has taken it back after it was attempted, or while it was shown. */
  cancelled: boolean;
  /** To whoever reads the mailbox, at last; undefined: to nobody yet. */
  shown: Shown | undefined;
  /** Ended; a reference that is still in some queue is to be passed over. */
  ended: boolean;
}

/** Kept as its deadline of one that was taken back while it was shown: also after a restart it is shown to nobody again. */
export const TAKEN_BACK_US = 1;

/** One that waits, as yet untold. */
export function newEntry(
  agent: HostedAgent,
  meta: InboxMeta,
  size: number,
  envelope: Envelope | undefined,
): Entry {
  const { seq, level, heldAtUs, ingressAtUs, routedAtUs, router, deadlineUs, history } = meta;
  const state = {
    delivery: 0,
    deliveredAtUs: 0,
    announced: false,
    unconfirmed: false,
    cancelled: deadlineUs === TAKEN_BACK_US,
    shown: undefined,
    ended: false,
  };
  return {
    seq,
    level,
    heldAtUs,
    ingressAtUs,
    routedAtUs,
    router,
    deadlineUs,
    history,
    agent,
    size,
    envelope,
    ...state,
  };
}

/** What becomes of what does not fit: it goes back, or the oldest that waits ends as a dead letter. */
export type DropPolicy = 'newest' | 'oldest';

export interface QueueBounds {
  readonly messages: number;
  readonly bytes: number;
  readonly drop: DropPolicy;
}

export class AgentQueue {
  bounds: QueueBounds;
  readonly waiting = new Levels<Entry>();
  /** By delivery, ascending. */
  readonly attempted = new Map<number, Entry>();
  readonly #arrivals = new Set<() => void>();
  #bytes = 0;
  #attemptedBytes = 0;
  /** No entry that waits has an earlier deadline than this. */
  #earliestUs = Number.POSITIVE_INFINITY;
  #heldUp = false;

  constructor(bounds: QueueBounds) {
    this.bounds = bounds;
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
    return depth === 0 || (depth < this.bounds.messages && this.#bytes + size <= this.bounds.bytes);
  }

  /** Would so much be within the bounds of a queue of its own? */
  wouldHold(messages: number, bytes: number): boolean {
    return messages <= this.bounds.messages && (messages <= 1 || bytes <= this.bounds.bytes);
  }

  /** Is it filled to so many hundredths of its bounds, in messages or in bytes? */
  isFilled(percent: number): boolean {
    const { messages, bytes } = this.bounds;
    return this.depth * 100 >= percent * messages || this.#bytes * 100 >= percent * bytes;
  }

  isAbove(percent: number): boolean {
    const { messages, bytes } = this.bounds;
    return this.depth * 100 > percent * messages || this.#bytes * 100 > percent * bytes;
  }

  /** How many more messages fit, as far as their number goes. */
  get room(): number {
    return Math.max(0, this.bounds.messages - this.depth);
  }

  /**
   * Those that wait, the oldest of the lowest level first, without which a message of this size and level would fit. None is of
   * a higher level, or being shown; undefined when no such choice makes room.
   */
  inTheWay(size: number, level: PriorityLevel, nowMs: number): Entry[] | undefined {
    const { messages, bytes } = this.bounds;
    if (size > bytes) return undefined;
    const found: Entry[] = [];
    let depth = this.depth;
    let used = this.#bytes;
    const fits = () => depth < messages && used + size <= bytes;
    for (const entry of this.waiting) {
      if (entry.level > level || fits()) break;
      if (isShown(entry, nowMs)) continue;
      found.push(entry);
      depth--;
      used -= entry.size;
    }
    return fits() ? found : undefined;
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

  /** Whoever waits for an arrival looks again. */
  wake(): void {
    for (const wake of this.#arrivals) wake();
  }

  push(entry: Entry): void {
    this.waiting.push(entry);
    this.wake();
    this.#bytes += entry.size;
    if (entry.deadlineUs < this.#earliestUs) this.#earliestUs = entry.deadlineUs;
  }

  /** Puts back what a restart found to have been attempted; in the order of deliveries. */
  pushAttempted(entry: Entry): void {
    this.attempted.set(entry.delivery, entry);
    this.#bytes += entry.size;
    this.#attemptedBytes += entry.size;
  }

  /** The one that comes next. Undefined: there is none, or a reader is being shown it; those behind it keep their order. */
  nextFree(nowMs: number): Entry | undefined {
    const next = this.waiting.next();
    if (next === undefined || !isShown(next, nowMs)) return next;
    this.#heldUp = true;
    return undefined;
  }

  /** Since it was asked the last time: by a reader that was shown what came next. */
  wasHeldUp(): boolean {
    const was = this.#heldUp;
    this.#heldUp = false;
    return was;
  }

  /**
   * Takes the next one over to the attempted ones. `last`: the highest number of a delivery so far. Its own is the lowest
   * sequence that waits, or else follows the last: so numbers ascend, no sequence is ever behind them once all is handed over,
   * and as long as nothing is overtaken a delivery's number is its message's sequence.
   */
  attempt(last: number): Entry {
    const delivery = Math.max(last + 1, this.waiting.lowestSeq());
    const entry = this.waiting.shift()!;
    entry.delivery = delivery;
    this.attempted.set(delivery, entry);
    this.#attemptedBytes += entry.size;
    return entry;
  }

  /** Undoes `attempt` for a message that certainly did not get there; only while nothing later was attempted. */
  putBack(entry: Entry): void {
    this.attempted.delete(entry.delivery);
    this.#attemptedBytes -= entry.size;
    entry.delivery = 0;
    this.waiting.unshift(entry);
    if (entry.deadlineUs < this.#earliestUs) this.#earliestUs = entry.deadlineUs;
  }

  /** Takes out an attempted one that has ended. */
  endAttempted(entry: Entry): void {
    if (!this.attempted.delete(entry.delivery)) return;
    this.#bytes -= entry.size;
    this.#attemptedBytes -= entry.size;
  }

  /** Takes out the next one, which ends without an attempt. */
  endNext(): Entry {
    const entry = this.waiting.shift()!;
    this.#bytes -= entry.size;
    return entry;
  }

  /** Takes out some that wait, and end without an attempt: those in turn by turn, others wherever they stand. */
  endWaiting(entries: readonly Entry[]): void {
    const others = new Set<Entry>();
    for (const entry of entries) {
      if (this.waiting.next() === entry) this.waiting.shift();
      else others.add(entry);
      this.#bytes -= entry.size;
    }
    if (others.size > 0) this.waiting.take((entry) => others.has(entry));
  }

  /** One that waits, wherever it stands; undefined: it does not wait. */
  find(seq: number): Entry | undefined {
    for (const entry of this.waiting) if (entry.seq === seq) return entry;
    return undefined;
  }

  /** Takes out one that waits, out of its turn. */
  withdraw(entry: Entry): void {
    if (this.waiting.isOldest(entry)) this.waiting.takeOldest(entry);
    else this.waiting.take((one) => one === entry);
    this.#bytes -= entry.size;
  }

  /** One that waits is taken back while it is shown: that ends it once it is not. */
  cancelShown(entry: Entry): void {
    entry.cancelled = true;
    this.#earliestUs = Number.NEGATIVE_INFINITY;
  }

  /** Takes out what waits beyond its deadline, or was taken back, but for what is shown now (monotonic milliseconds). */
  takeExpired(nowUs: number, nowMs: number): Entry[] {
    if (nowUs < this.#earliestUs) return [];
    const isOver = (entry: Entry) => entry.cancelled || entry.deadlineUs <= nowUs;
    const expired = this.waiting.take((entry) => isOver(entry) && !isShown(entry, nowMs));
    this.#earliestUs = Number.POSITIVE_INFINITY;
    for (const entry of this.waiting) {
      const endUs = entry.cancelled ? Number.NEGATIVE_INFINITY : entry.deadlineUs;
      this.#earliestUs = Math.min(this.#earliestUs, endUs);
    }
    for (const entry of expired) this.#bytes -= entry.size;
    return expired;
  }

  /** The attempted ones that an acknowledgement names, ascending; what it names beyond `limit` does not count. */
  named(ack: { readonly upTo: number; readonly also: readonly number[] }, limit: number): Entry[] {
    const found: Entry[] = [];
    const upTo = Math.min(ack.upTo, limit);
    for (const [delivery, entry] of this.attempted) {
      if (delivery > upTo) break;
      found.push(entry);
    }
    for (const delivery of ack.also) {
      const entry = delivery > upTo && delivery <= limit ? this.attempted.get(delivery) : undefined;
      if (entry !== undefined) found.push(entry);
    }
    return found;
  }
}
