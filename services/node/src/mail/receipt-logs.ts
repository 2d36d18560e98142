/** What agents were told last about the messages that they sent, so that a session goes on where the last one ended. */

import { randomBytes } from 'node:crypto';
import type { Receipt } from '@fleetwire/gen/message';
import { Deque } from '@fleetwire/kernel';
import type { Progress } from './progress.ts';

export interface ReceiptLogBounds {
  /** Receipts of one agent. */
  readonly each: number;
  /** Of all agents together; those that have more than their share of it give way. */
  readonly all: number;
  /** Milliseconds for which it goes on when nobody follows it. */
  readonly keepMs: number;
}

/** Of one agent. Sequences begin at 1 and have no gaps; those before `first` are forgotten. */
export class ReceiptLog {
  /** Another one for each count. */
  readonly id = randomBytes(8).toString('hex');
  readonly followers = new Set<() => void>();
  readonly #receipts = new Deque<Receipt>();
  #first = 1;

  get first(): number {
    return this.#first;
  }
  get last(): number {
    return this.#first + this.#receipts.length - 1;
  }
  get length(): number {
    return this.#receipts.length;
  }

  append(receipts: readonly Receipt[]): void {
    for (const receipt of receipts) this.#receipts.push(receipt);
  }

  /** How many of the oldest it has forgotten so that no more than `length` are left. */
  trim(length: number): number {
    const over = Math.max(0, this.#receipts.length - length);
    for (let i = 0; i < over; i++) this.#receipts.shift();
    this.#first += over;
    return over;
  }

  /** From `seq` on, which it must have, at most so many. */
  from(seq: number, count: number): Receipt[] {
    const found: Receipt[] = [];
    const end = Math.min(this.last, seq + count - 1);
    for (let at = seq; at <= end; at++) found.push(this.#receipts.at(at - this.#first)!);
    return found;
  }
}

interface Followed {
  readonly log: ReceiptLog;
  readonly unlisten: () => void;
  idle: NodeJS.Timeout | undefined;
}

/** To leave room at once for what comes next, so that not every receipt is a reason to look through all logs. */
const SHARE_LEFT = 7 / 8;

export class ReceiptLogs {
  readonly #progress: Pick<Progress, 'listen'>;
  readonly #bounds: ReceiptLogBounds;
  /** By the agent's number. */
  readonly #logs = new Map<number, Followed>();
  #total = 0;

  constructor(progress: Pick<Progress, 'listen'>, bounds: ReceiptLogBounds) {
    this.#progress = progress;
    this.#bounds = bounds;
  }

  /** The agent's log, from its first follower on; `told`: something was added. It ends some time after the last one has left. */
  follow(agent: number, told: () => void): { readonly log: ReceiptLog; readonly leave: () => void } {
    const followed = this.#logs.get(agent) ?? this.#open(agent);
    const { log } = followed;
    clearTimeout(followed.idle);
    // Of each follower its own, whatever it has given.
    const follower = () => told();
    log.followers.add(follower);
    return {
      log,
      leave: () => {
        if (!log.followers.delete(follower) || log.followers.size > 0) return;
        followed.idle = setTimeout(() => this.#end(agent, followed), this.#bounds.keepMs).unref();
      },
    };
  }

  #open(agent: number): Followed {
    const log = new ReceiptLog();
    const unlisten = this.#progress.listen(agent, (receipts) => {
      log.append(receipts);
      this.#total += receipts.length - log.trim(this.#bounds.each);
      if (this.#total > this.#bounds.all) this.#share();
      for (const told of log.followers) told();
    });
    const followed = { log, unlisten, idle: undefined };
    this.#logs.set(agent, followed);
    return followed;
  }

  #share(): void {
    const share = Math.floor((this.#bounds.all / this.#logs.size) * SHARE_LEFT);
    for (const { log } of this.#logs.values()) this.#total -= log.trim(share);
  }

  #end(agent: number, { log, unlisten }: Followed): void {
    unlisten();
    this.#logs.delete(agent);
    this.#total -= log.length;
  }
}
