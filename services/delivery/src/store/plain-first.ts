/**
 * Inserts rows as if none of them was there, by COPY, which knows no `on conflict` but costs half; when one was,
 * writes them with care, and does not try the plain way for a while: where repeats are common it only costs.
 */

const SKIPS_MAX = 64;
/** Causes looked through. */
const DEPTH_MAX = 8;

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
      if (!isDuplicate(error)) throw error;
      this.#skips = this.#penalty;
      this.#penalty = Math.min(SKIPS_MAX, this.#penalty * 2);
      await careful();
    }
  }
}

function isDuplicate(thrown: unknown): boolean {
  let current: unknown = thrown;
  for (let depth = 0; depth < DEPTH_MAX && current instanceof Error; depth++) {
    if ((current as { readonly code?: unknown }).code === '23505') return true;
    current = current.cause;
  }
  return false;
}
