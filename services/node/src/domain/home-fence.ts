/** Keeps an agent's mail to one that has moved here in order: what was sent through the hub before goes first. */

const SENDERS_MAX = 10_000;

/**
 * Senders of this node wrote to the agent through the hub while it lived elsewhere, and what they wrote may be under way. So
 * each goes on that way until the last that it sent so has come; from then on its mail stays on this node. Ids of
 * agents and messages.
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
  lets(sender: string): boolean {
    return !this.#up || this.#open.has(sender);
  }

  /** It was sent through the hub. */
  sent(sender: string, id: string): void {
    if (!this.#up) return;
    this.#open.delete(sender);
    this.#last.delete(sender);
    this.#last.set(sender, id);
    if (this.#last.size > this.#max) this.#last.delete(this.#last.keys().next().value!);
  }

  /** It has come from there. */
  came(sender: string, id: string): void {
    if (this.#last.get(sender) !== id) return;
    this.#last.delete(sender);
    this.#open.add(sender);
    if (this.#open.size > this.#max) this.#open.delete(this.#open.values().next().value!);
  }
}
