/**
 * Inserts rows as if none of them was there, by COPY, which knows no `on conflict` but costs half; when one was,
 * writes them with care, and does not try the plain way for a while: where repeats are common it only costs.
 */

import { isConflict } from '@fleetwire/store';

const SKIPS_MAX = 64;

export class PlainFirst {
  #skips = 0;
  #penalty = 1;

  /** Each is one transaction; `careful` must be right whatever rows are there. */
  async run(plain: () => Promise<unknown>, careful: () => Promise<void>): Promise<void> {
    if (this.#skips > 0) {
      this.#skips--;
      return careful();
    }
    try {
      await plain();
      this.#penalty = 1;
    } catch (error) {
      if (!isConflict(error)) throw error;
      this.#skips = this.#penalty;
      this.#penalty = Math.min(SKIPS_MAX, this.#penalty * 2);
      await careful();
    }
  }
}
