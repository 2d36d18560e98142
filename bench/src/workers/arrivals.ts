/** Latencies of what comes in, until so many have come as were announced. */

export class Arrivals {
  /** Resolves with those that count, in milliseconds. */
  readonly all: Promise<readonly number[]>;
  readonly #latencies: number[] = [];
  readonly #expected: number;
  #done: () => void = () => undefined;

  /** The first `warmup` do not count. */
  constructor({ warmup, samples }: { readonly warmup: number; readonly samples: number }) {
    this.#expected = warmup + samples;
    this.all = new Promise((resolve) => {
      this.#done = () => resolve(this.#latencies.slice(warmup, warmup + samples));
    });
  }

  add(latencyMs: number): void {
    if (this.#latencies.push(latencyMs) === this.#expected) this.#done();
  }
}
