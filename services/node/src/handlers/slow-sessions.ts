/** Cuts off sessions whose clients do not read, so that none of them keeps for ever what was meant for it. */

export interface ReadSession {
  /** Answers that have gone on their way so far. */
  readonly taken: number;
  /** How much the client leaves unread, in bytes; an answer that is held up counts for one. */
  unread(): number;
  /** Ends the session in the node; its client learns so if it reads again. */
  cut(): void;
  /** Ends the stream, with all that waits in it. */
  breakOff(): void;
}

interface Look {
  taken: number;
  unread: number;
  /** Monotonic time of the last sign that it reads, or at which it was cut. */
  atMs: number;
  cut: boolean;
}

/** After a session was cut: time for its client to read why. */
const LAST_WORD_MS = 5_000;
/** Looks within the time that a client has. */
const LOOKS = 8;
const LOOK_MIN_MS = 20;
const LOOK_MAX_MS = 1_000;

export class SlowSessions {
  /** Sessions that were cut off since the start. */
  cutOff = 0;
  readonly #slowMs: number;
  readonly #open = new Map<ReadSession, Look>();
  #timer: NodeJS.Timeout | undefined;

  constructor(slowMs: number) {
    this.#slowMs = slowMs;
  }

  /** Until the function given back is called. */
  watch(session: ReadSession): () => void {
    this.#open.set(session, { taken: 0, unread: 0, atMs: performance.now(), cut: false });
    const everyMs = Math.min(LOOK_MAX_MS, Math.max(LOOK_MIN_MS, this.#slowMs / LOOKS));
    this.#timer ??= setInterval(() => this.#lookAll(), everyMs).unref();
    return () => {
      this.#open.delete(session);
      if (this.#open.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  #lookAll(): void {
    const nowMs = performance.now();
    for (const [session, look] of this.#open) this.#look(session, look, nowMs);
  }

  #look(session: ReadSession, look: Look, nowMs: number): void {
    if (look.cut) {
      if (nowMs - look.atMs >= Math.min(LAST_WORD_MS, this.#slowMs)) session.breakOff();
      return;
    }
    const unread = session.unread();
    const reads = unread === 0 || unread < look.unread || session.taken !== look.taken;
    look.unread = unread;
    look.taken = session.taken;
    if (reads) look.atMs = nowMs;
    else if (nowMs - look.atMs >= this.#slowMs) {
      this.cutOff++;
      look.cut = true;
      look.atMs = nowMs;
      session.cut();
    }
  }
}
