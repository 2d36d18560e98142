/** Which word about the presence of a node is told when: each at most once a minute, the last one always, if need be later. */

import { keepNewest } from '@fleetwire/kernel';

export interface Present {
  readonly id: string;
  readonly status: string;
  /** Grows with each coming and going. */
  readonly epoch: number;
}

interface Told {
  minute: number;
  /** In that minute. */
  readonly words: Set<string>;
  /** What was told last. */
  last: Present | undefined;
}

export class PresenceWords {
  readonly #max: number;
  /** Least recently told of first. */
  readonly #told = new Map<string, Told>();
  /** Nodes of which something was held back, and the minute in which. */
  readonly #later = new Map<string, number>();

  /** `max`: nodes of which it is remembered. */
  constructor(max: number) {
    this.#max = max;
  }

  /** True: tell it now. Else it was told already, or is due when the minute is over. */
  take(node: Present, minute: number): boolean {
    const { id } = node;
    const told = this.#told.get(id) ?? { minute, words: new Set(), last: undefined };
    if (told.minute !== minute) {
      told.minute = minute;
      told.words.clear();
    }
    this.#told.delete(id);
    this.#told.set(id, told);
    keepNewest(this.#told, this.#max);
    if (told.last?.status === node.status && told.last.epoch === node.epoch) return false;
    if (told.words.has(node.status)) {
      this.#later.set(id, minute);
      keepNewest(this.#later, this.#max);
      return false;
    }
    told.words.add(node.status);
    told.last = node;
    return true;
  }

  /** Something later than this was told already. */
  overtaken({ id, epoch }: Present): boolean {
    return epoch < (this.#told.get(id)?.last?.epoch ?? epoch);
  }

  /** Nodes of which something was held back in a minute before, at most `limit`; each is given once. */
  due(minute: number, limit: number): string[] {
    const ids = [...this.#later].filter(([, since]) => since !== minute).slice(0, limit);
    for (const [id] of ids) this.#later.delete(id);
    return ids.map(([id]) => id);
  }

  /** They could not be looked at: due again. */
  giveBack(ids: readonly string[], minute: number): void {
    for (const id of ids) this.#later.set(id, minute);
  }
}
