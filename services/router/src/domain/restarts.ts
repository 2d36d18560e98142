/** Notices a partition that is taken over again and again and gets nowhere. */

/** So many restarts within the window are one doubt after another; one more is a fault that stays. */
const RESTARTS_MAX = 5;
const WINDOW_MS = 60_000;

/** Times are monotonic milliseconds. */
export class Restarts {
  #atMs: number[] = [];
  #stuck = false;

  /** Restarts in a row without any progress. */
  get inVain(): number {
    return this.#atMs.length;
  }

  /** True from the sixth restart in vain within a minute until the next progress. */
  get stuck(): boolean {
    return this.#stuck;
  }

  /** A session ended without having got anywhere; true when just that made it stuck. */
  failed(nowMs: number): boolean {
    this.#atMs = this.#atMs.filter((atMs) => nowMs - atMs < WINDOW_MS);
    this.#atMs.push(nowMs);
    if (this.#stuck || this.#atMs.length <= RESTARTS_MAX) return false;
    this.#stuck = true;
    return true;
  }

  /** Mail was dealt with, or a session has lasted; true when it was stuck before. */
  progressed(): boolean {
    const was = this.#stuck;
    this.#atMs = [];
    this.#stuck = false;
    return was;
  }
}
