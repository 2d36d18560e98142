/** trust.json as it is now: looked at again while a process runs, and kept as it was while it cannot be read. */

import type { Trust } from './trust.ts';
import { loadTrust } from './trust.ts';

/** Between two looks for a key that nobody here knows, so that made-up ones cost little. */
const SEEK_MS = 1000;

export class LiveTrust {
  readonly #dir: string;
  readonly #elapsedMs: () => number;
  #trust: Trust;
  #lookedAtMs: number;
  #soughtAtMs = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;

  private constructor(dir: string, trust: Trust, elapsedMs: () => number) {
    this.#dir = dir;
    this.#trust = trust;
    this.#elapsedMs = elapsedMs;
    this.#lookedAtMs = elapsedMs();
  }

  /**
   * `elapsedMs` counts from anywhere, but never back. Rejects failed_precondition KEYS_MISSING or KEYS_UNREADABLE; once
   * open, nothing here fails.
   */
  static async open(dir: string, elapsedMs: () => number = () => performance.now()): Promise<LiveTrust> {
    return new LiveTrust(dir, await loadTrust(dir), elapsedMs);
  }

  /** As it was at the last look; the same object for as long as the file says the same. */
  get current(): Trust {
    return this.#trust;
  }

  /** As it was at a look not longer ago than that. Costs no more than a comparison while it is. */
  fresh(maxAgeMs: number): Promise<Trust> | Trust {
    if (this.#elapsedMs() - this.#lookedAtMs < maxAgeMs) return this.#trust;
    return this.#lookAgain();
  }

  /** Looks now, though at most once a second. */
  seek(): Promise<Trust> | Trust {
    const now = this.#elapsedMs();
    if (this.#looking === undefined) {
      if (now - this.#soughtAtMs < SEEK_MS) return this.#trust;
      this.#soughtAtMs = now;
    }
    return this.#lookAgain();
  }

  async #lookAgain(): Promise<Trust> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
    return this.#trust;
  }

  async #look(): Promise<void> {
    const startedMs = this.#elapsedMs();
    // Missing or half there while somebody replaces it: what was believed goes on until the next look.
    const found = await loadTrust(this.#dir).catch(() => this.#trust);
    if (JSON.stringify(found) !== JSON.stringify(this.#trust)) this.#trust = found;
    this.#lookedAtMs = startedMs;
  }
}
