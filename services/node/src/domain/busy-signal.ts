/** When the senders of one agent are told to hold back, and when to go on: decided here, said by `mail/pressure.ts`. */

import { keepNewest } from '@fleetwire/kernel';

export interface SignalRules {
  /** Nodes that have sent within this time are senders. */
  readonly recentMs: number;
  /** Of them, so many are known at most: those that have sent last. */
  readonly sendersMax: number;
  /** What a sender is told lapses after this time. */
  readonly lapseMs: number;
}

interface Sender {
  heardMs: number;
  /** When it was last told that the agent is busy; undefined: not since it is so. */
  toldMs: number | undefined;
}

/** Who may go on, and with how many messages each. */
export interface GoOn {
  readonly nodes: readonly string[];
  readonly credits: number;
}

/** Times are monotonic milliseconds. What it gives back as due has to be said: it counts as said. */
export class BusySignal {
  readonly #rules: SignalRules;
  /** In the order in which they were heard last. */
  readonly #senders = new Map<string, Sender>();
  #busy = false;
  #seq = 0;

  constructor(rules: SignalRules) {
    this.#rules = rules;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Mail of this node has come. True when it is due to be told that the agent is busy. */
  heard(node: string, nowMs: number): boolean {
    const known = this.#senders.get(node);
    const sender = known ?? { heardMs: nowMs, toldMs: undefined };
    if (known === undefined) this.#senders.set(node, sender);
    else if (nowMs !== known.heardMs) {
      this.#senders.delete(node);
      this.#senders.set(node, known);
    }
    sender.heardMs = nowMs;
    keepNewest(this.#senders, this.#rules.sendersMax);
    return this.#busy && this.#tell(sender, nowMs);
  }

  /** The queue is nearly full. Gives who is to be told. */
  rise(nowMs: number): string[] {
    this.#busy = true;
    return this.due(nowMs);
  }

  /** Who is to be told now: those who were not yet, and those for whom it would lapse before long. */
  due(nowMs: number): string[] {
    if (!this.#busy) return [];
    this.#forget(nowMs);
    return [...this.#senders].filter(([, sender]) => this.#tell(sender, nowMs)).map(([node]) => node);
  }

  /** The queue is nearly empty and has room for so many. Those who were told to hold back share the room with all who send. */
  fall(nowMs: number, room: number): GoOn {
    this.#busy = false;
    this.#forget(nowMs);
    const nodes: string[] = [];
    for (const [node, sender] of this.#senders) {
      if (sender.toldMs !== undefined && nowMs - sender.toldMs < this.#rules.lapseMs) nodes.push(node);
      sender.toldMs = undefined;
    }
    return { nodes, credits: Math.max(1, Math.floor(room / Math.max(1, this.#senders.size))) };
  }

  /** Of the next frame: it grows, also beyond a restart, for it is never behind the clock. `nowUs`: broker time. */
  nextSeq(nowUs: number): number {
    this.#seq = Math.max(this.#seq + 1, nowUs);
    return this.#seq;
  }

  /** Halfway to where it lapses, so that one frame that is late or lost changes nothing. */
  #tell(sender: Sender, nowMs: number): boolean {
    if (sender.toldMs !== undefined && nowMs - sender.toldMs < this.#rules.lapseMs / 2) return false;
    sender.toldMs = nowMs;
    return true;
  }

  #forget(nowMs: number): void {
    for (const [node, sender] of this.#senders) {
      if (nowMs - sender.heardMs < this.#rules.recentMs) break;
      this.#senders.delete(node);
    }
  }
}
