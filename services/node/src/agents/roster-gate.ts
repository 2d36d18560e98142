/** Keeps changes of single agents at the registry apart from a roster of all of them, which would undo what it does not list. */

export class RosterGate {
  #inside = 0;
  #closed = false;
  #waiting: (() => void)[] = [];

  /** For one agent: beside others, never while a roster is told. */
  async shared<T>(work: () => Promise<T>): Promise<T> {
    while (this.#closed) await this.#changed();
    this.#inside++;
    try {
      return await work();
    } finally {
      this.#inside--;
      this.#wake();
    }
  }

  /** For the whole roster: waits for what is under way and holds up what comes, so that it cannot be put off for ever. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#closed) await this.#changed();
    this.#closed = true;
    try {
      while (this.#inside > 0) await this.#changed();
      return await work();
    } finally {
      this.#closed = false;
      this.#wake();
    }
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
