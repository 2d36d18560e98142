/** From looks at a queue: how much waits, how quickly it is worked off, when it will be empty. */

export interface Look {
  /** Monotonic. */
  readonly atMs: number;
  /** Stream messages not yet worked off. */
  readonly waiting: number;
  /** Stream messages worked off since the consumer was made; a repeat counts again. */
  readonly done: number;
  /** Rows (messages, receipts) in a stream message, about. */
  readonly rowsEach: number;
}

export interface ProgressFigures {
  /** Stream messages (packs) that wait. */
  readonly waiting: number;
  /** What is in these, about. */
  readonly rows: number;
  /** Rows worked off in a second, about. */
  readonly rows_per_s: number;
  /** Until nothing waits, at the pace at which that shrinks; null: it does not shrink. 0: nothing waits. */
  readonly seconds_left: number | null;
}

/** How much of the pace a new look makes: the rest is what was seen before. */
const NEW_SHARE = 0.3;

export class Progress {
  #last: Look | undefined;
  #donePerMs = 0;
  #shrinkPerMs = 0;

  get figures(): ProgressFigures {
    const { waiting = 0, rowsEach = 1 } = this.#last ?? {};
    return {
      waiting,
      rows: Math.round(waiting * rowsEach),
      rows_per_s: Math.round(this.#donePerMs * rowsEach * 1000),
      seconds_left:
        waiting === 0 ? 0 : this.#shrinkPerMs > 0 ? Math.ceil(waiting / this.#shrinkPerMs / 1000) : null,
    };
  }

  see(look: Look): void {
    const last = this.#last;
    this.#last = look;
    if (last === undefined || look.atMs <= last.atMs) return;
    const passedMs = look.atMs - last.atMs;
    this.#donePerMs = blend(this.#donePerMs, Math.max(0, look.done - last.done) / passedMs);
    this.#shrinkPerMs = blend(this.#shrinkPerMs, (last.waiting - look.waiting) / passedMs);
  }
}

function blend(before: number, now: number): number {
  return before === 0 ? now : before * (1 - NEW_SHARE) + now * NEW_SHARE;
}
