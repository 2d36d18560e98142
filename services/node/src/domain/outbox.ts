/** The outbox in memory: what waits for the hub, the shares it takes up, and the next pack. */

import { LIMITS } from '@fleetwire/contract';
import { FleetwireError } from '@fleetwire/kernel';
import type { OutboxRow } from '../store/outbox-table.ts';
import { Deque } from './deque.ts';

export interface OutboxBounds {
  /** Messages of one agent. */
  readonly messagesPerAgent: number;
  /** Bytes of all together. */
  readonly bytes: number;
  /** Copies of local mail that only history needs. */
  readonly historyMessages: number;
}

/** Envelopes that go to ingress together, in the order in which they were accepted. */
export interface OutboxPack {
  readonly rows: readonly OutboxRow[];
  /** The same for the same messages, whatever happens in between: the broker's dedupe id. */
  readonly id: string;
}

/** Milliseconds after which a refused sender may try again. */
const RETRY_AFTER_MS = 500;

export class Outbox {
  readonly #bounds: OutboxBounds;
  readonly #rows = new Deque<OutboxRow>();
  readonly #shares = new Map<number, number>();
  #bytes = 0;
  #local = 0;

  constructor(bounds: OutboxBounds) {
    this.#bounds = bounds;
  }

  get depth(): number {
    return this.#rows.length;
  }

  /** The error with which a message of `size` bytes is refused, if it is. */
  refusal(agent: number, size: number): FleetwireError | undefined {
    const share = this.#shares.get(agent) ?? 0;
    if (share < this.#bounds.messagesPerAgent && this.#bytes + size <= this.#bounds.bytes) return undefined;
    return new FleetwireError(
      'resource_exhausted',
      'OUTBOX_FULL',
      `${share} messages of this agent wait for the hub; the outbox holds ${this.#bytes} bytes`,
      {
        help: 'Send more slowly, or see `fleetwire status` for why the hub takes none.',
        retryAfterMs: RETRY_AFTER_MS,
      },
    );
  }

  /** Would so many messages of one agent fit? More than half of its share is never asked for. */
  hasRoomFor(agent: number, count: number): boolean {
    const share = this.#shares.get(agent) ?? 0;
    const messages = Math.min(count, Math.ceil(this.#bounds.messagesPerAgent / 2));
    return share + messages <= this.#bounds.messagesPerAgent && this.#bytes * 4 <= this.#bounds.bytes * 3;
  }

  /** Is there room for one more copy of local mail? */
  roomForHistory(size: number): boolean {
    return this.#local < this.#bounds.historyMessages && this.#bytes + size <= this.#bounds.bytes;
  }

  push(row: OutboxRow): void {
    this.#rows.push(row);
    this.#bytes += row.envelope.length;
    if (row.local) this.#local++;
    else this.#shares.set(row.agent, (this.#shares.get(row.agent) ?? 0) + 1);
  }

  /** The oldest messages: at most a pack of them, and at most 256 KiB unless the first alone is larger. Undefined: none waits. */
  nextPack(): OutboxPack | undefined {
    const rows: OutboxRow[] = [];
    let bytes = 0;
    while (rows.length < LIMITS.packMessages) {
      const row = this.#rows.at(rows.length);
      if (row === undefined) break;
      bytes += row.envelope.length;
      if (rows.length > 0 && bytes > LIMITS.packBytes) break;
      rows.push(row);
    }
    if (rows.length === 0) return undefined;
    return { rows, id: `${rows[0]!.id}-${rows.at(-1)!.id}-${rows.length}` };
  }

  /** Takes a pack out that the broker has; gives the sequence up to which nothing is needed any more. */
  settle(pack: OutboxPack): number {
    const last = pack.rows.at(-1)!.seq;
    for (let head = this.#rows.at(0); head !== undefined && head.seq <= last; head = this.#rows.at(0)) {
      this.#rows.shift();
      this.#bytes -= head.envelope.length;
      if (head.local) this.#local--;
      else this.#drop(head.agent);
    }
    return last;
  }

  #drop(agent: number): void {
    const share = this.#shares.get(agent)! - 1;
    if (share === 0) this.#shares.delete(agent);
    else this.#shares.set(agent, share);
  }
}
