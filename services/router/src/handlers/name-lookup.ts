/** Asks registry about names that the table lacks: coalesced, bounded, and remembered for a moment. */

import type { Clock, FleetwireError } from '@fleetwire/kernel';
import { asFleetwireError } from '@fleetwire/kernel';
import type { Question } from '../domain/questions.ts';
import type { KnownName } from '../domain/resolve.ts';
import type { RouteEntry } from '../domain/routing-table.ts';

export interface NameLookupOptions {
  /** Undefined: there is no such agent. Rejects when registry cannot be asked. */
  readonly ask: ((org: string, folded: string) => Promise<RouteEntry | undefined>) | undefined;
  readonly clock: Clock;
  readonly max: number;
  readonly freshMs: number;
  readonly cacheMax: number;
  readonly pauseMs: number;
  /** Told when registry stops answering; the table is the truth then. */
  readonly onAway?: (error: FleetwireError) => void;
}

type Done = (known: KnownName) => void;

const NOT_KNOWN: KnownName = { route: undefined };

export class NameLookup {
  readonly #options: NameLookupOptions;
  /** Oldest first. */
  readonly #answers = new Map<string, { known: KnownName; untilMs: number }>();
  /** Who waits for which name; each name is asked about once, whoever waits. */
  readonly #waiting = new Map<string, { question: Question; done: Done[] }>();
  readonly #queue: string[] = [];
  #asking = 0;
  #pausedUntilMs = 0;

  constructor(options: NameLookupOptions) {
    this.#options = options;
  }

  /** An answer that is still fresh. */
  known(org: string, folded: string): KnownName | undefined {
    const answer = this.#answers.get(key(org, folded));
    return answer !== undefined && answer.untilMs > this.#options.clock.monotonicMs()
      ? answer.known
      : undefined;
  }

  /** Calls `done` once, sooner or later; at once when registry is not to be asked now. */
  find(question: Question, done: Done): void {
    const away = this.#options.ask === undefined || this.#options.clock.monotonicMs() < this.#pausedUntilMs;
    const known = this.known(question.org, question.folded) ?? (away ? NOT_KNOWN : undefined);
    if (known !== undefined) {
      done(known);
      return;
    }
    const id = key(question.org, question.folded);
    const waiting = this.#waiting.get(id);
    if (waiting !== undefined) {
      waiting.done.push(done);
      return;
    }
    this.#waiting.set(id, { question, done: [done] });
    this.#queue.push(id);
    this.#askMore();
  }

  /** The watch has brought news of this name: what was remembered of it counts no longer. */
  forget(org: string, folded: string): void {
    this.#answers.delete(key(org, folded));
  }

  #askMore(): void {
    while (this.#asking < this.#options.max && this.#queue.length > 0) {
      this.#asking++;
      void this.#ask(this.#queue.shift()!);
    }
  }

  async #ask(id: string): Promise<void> {
    const { question, done } = this.#waiting.get(id)!;
    let known = NOT_KNOWN;
    try {
      if (this.#options.clock.monotonicMs() >= this.#pausedUntilMs) {
        known = { route: await this.#options.ask!(question.org, question.folded) };
        this.#remember(id, known);
      }
    } catch (error) {
      this.#pausedUntilMs = this.#options.clock.monotonicMs() + this.#options.pauseMs;
      this.#options.onAway?.(asFleetwireError(error));
    }
    this.#waiting.delete(id);
    this.#asking--;
    for (const tell of done) tell(known);
    this.#askMore();
  }

  #remember(id: string, known: KnownName): void {
    this.#answers.delete(id);
    this.#answers.set(id, { known, untilMs: this.#options.clock.monotonicMs() + this.#options.freshMs });
    if (this.#answers.size <= this.#options.cacheMax) return;
    for (const oldest of this.#answers.keys()) {
      this.#answers.delete(oldest);
      return;
    }
  }
}

function key(org: string, folded: string): string {
  return `${org} ${folded}`;
}
