/** What this node's agents were not allowed to send, counted until the hub has heard of it. */

import type { Denial } from '@fleetwire/gen/message';
import { foldName } from '@fleetwire/kernel';

/** Different ones that are told at once, which is as many as the hub heeds; what is beyond is not told. */
const DENIALS_MAX = 20;

export type Denied = Omit<Denial, 'seq' | 'count'>;

/** Told at least once, equal ones as one. What was not told when the node ends is lost. */
export class Denials {
  readonly #open = new Map<string, Denial>();
  /** On their way: the same again until they were heard. */
  #telling: readonly Denial[] = [];
  #seq = 0;

  note(denied: Denied): void {
    const { actor, targetName, reason, policy } = denied;
    const key = JSON.stringify([actor, foldName(targetName), reason, policy]);
    const known = this.#open.get(key);
    if (known !== undefined) known.count++;
    else if (this.#open.size < DENIALS_MAX) this.#open.set(key, { ...denied, seq: ++this.#seq, count: 1 });
  }

  /** For the next heartbeat. */
  next(): Denial[] {
    if (this.#telling.length === 0) {
      this.#telling = [...this.#open.values()];
      this.#open.clear();
    }
    return [...this.#telling];
  }

  /** A heartbeat with these was answered. */
  told(denials: readonly Denial[]): void {
    const last = denials.at(-1)?.seq ?? 0;
    this.#telling = this.#telling.filter(({ seq }) => seq > last);
  }
}
