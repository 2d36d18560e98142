/** Keeps an agent's mail to one that has moved here in order: what was sent through the hub before goes first. */

import { keepNewest, NORMAL_LEVEL, PRIORITY_LEVELS, type PriorityLevel } from '@fleetwire/kernel';

const SENDERS_MAX = 10_000;

/**
 * Senders of this node wrote to the agent through the hub while it lived elsewhere, and what they wrote may be under way. So
 * each goes on that way until the last that it sent so has come; from then on its mail stays on this node. Each level of
 * priority for itself, since one overtakes the other on that way. Ids of agents and messages.
 */
export class HomeFence {
  #up = false;
  readonly #last = new Map<string, string>();
  readonly #open = new Set<string>();
  readonly #max: number;

  /** Of those who wrote longest ago beyond `max` it forgets what it knew: their mail goes through the hub again. */
  constructor(max = SENDERS_MAX) {
    this.#max = max;
  }

  /** The agent has come from another node, or this node has forgotten who wrote to it since. */
  raise(): void {
    this.#up = true;
    this.#open.clear();
    // What somebody sent last here may not be the last that they sent: the agent was elsewhere since.
    this.#last.clear();
  }

  /** May this sender's next message be handed over without the hub? */
  lets(sender: string, level: PriorityLevel = NORMAL_LEVEL): boolean {
    return !this.#up || this.#open.has(keyOf(sender, level));
  }

  /** It was sent through the hub. */
  sent(sender: string, id: string, level: PriorityLevel = NORMAL_LEVEL): void {
    if (!this.#up) return;
    const key = keyOf(sender, level);
    this.#open.delete(key);
    this.#last.delete(key);
    this.#last.set(key, id);
    keepNewest(this.#last, this.#max);
  }

  /** It has come from there. */
  came(sender: string, id: string): void {
    if (this.#last.size === 0) return;
    const key = PRIORITY_LEVELS.map((level) => keyOf(sender, level)).find(
      (one) => this.#last.get(one) === id,
    );
    if (key === undefined) return;
    this.#last.delete(key);
    this.#open.add(key);
    if (this.#open.size > this.#max) this.#open.delete(this.#open.values().next().value!);
  }
}

const keyOf = (sender: string, level: PriorityLevel): string => `${sender} ${level}`;
