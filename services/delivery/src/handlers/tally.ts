/** Counts what happens often and has to be told now and then: the same things over an interval are one. */

/** Of one thing the first, and how often it came. */
export interface Counted<Thing> {
  readonly thing: Thing;
  readonly count: number;
}

export interface TallyOptions<Thing> {
  readonly intervalMs: number;
  /** Things counted at once; what is beyond goes untold. */
  readonly max: number;
  /** One call at a time; must not reject. */
  tell(counted: readonly Counted<Thing>[]): Promise<void>;
  /** Of two that are the same the one to be told. Default: the first. */
  earlier?(one: Thing, other: Thing): Thing;
}

export class Tally<Thing> {
  readonly #options: TallyOptions<Thing>;
  #counts = new Map<string, { thing: Thing; count: number }>();
  #timer: NodeJS.Timeout | undefined;
  #telling: Promise<void> | undefined;

  constructor(options: TallyOptions<Thing>) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.#next(), this.#options.intervalMs);
  }

  /** Tells what was counted last. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#telling;
    this.#next();
    await this.#telling;
  }

  /** Things with one key are the same. */
  add(key: string, thing: Thing): void {
    const { max, earlier } = this.#options;
    const known = this.#counts.get(key);
    if (known === undefined) {
      if (this.#counts.size < max) this.#counts.set(key, { thing, count: 1 });
      return;
    }
    known.count++;
    if (earlier !== undefined) known.thing = earlier(known.thing, thing);
  }

  /** While the last are still being told, what comes is counted on. */
  #next(): void {
    if (this.#counts.size === 0 || this.#telling !== undefined) return;
    const counts = [...this.#counts.values()];
    this.#counts = new Map();
    this.#telling = this.#options.tell(counts).finally(() => {
      this.#telling = undefined;
    });
  }
}
