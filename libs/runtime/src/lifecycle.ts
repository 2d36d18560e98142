/**
 * The life of a service as a state machine; everything that is opened is closed again, in reverse order.
 *
 *               opened               stop, fault
 *   starting ───────────▶ serving ─────────────────▶ draining ──closed──▶ stopped, or failed
 *      │                                             ▲    │                    ▲
 *      └──────────── stop, fault ────────────────────┘    └─grace over─▶ forcing ──closed
 *
 * - starting: parts are opened one by one. A stop or a fault cuts waiting short; what was opened is closed.
 * - serving:  everything is open; the service says so by its health.
 * - draining: parts close in reverse order, each finishing what it has in flight.
 * - forcing:  the grace time is over: a part still closing is left behind, the others close without finishing; each
 *             gets a share of the force time, so the end comes before that is over.
 * - stopped:  the end after a stop. failed: the end after a fault, or when a part had to be left behind.
 */

import { asFleetwireError, FleetwireError } from '@fleetwire/kernel';

export type LifecycleState = 'starting' | 'serving' | 'draining' | 'forcing' | 'stopped' | 'failed';
export type LifecycleEvent = 'opened' | 'stop' | 'fault' | 'grace_over' | 'closed';

const TRANSITIONS: Readonly<Record<LifecycleState, Partial<Record<LifecycleEvent, LifecycleState>>>> = {
  starting: { opened: 'serving', stop: 'draining', fault: 'draining' },
  serving: { stop: 'draining', fault: 'draining' },
  draining: { grace_over: 'forcing', closed: 'stopped' },
  forcing: { closed: 'stopped' },
  stopped: {},
  failed: {},
};

/** The state after `event`; events that mean nothing in a state leave it. A life with a fault ends as failed. */
export function nextState(state: LifecycleState, event: LifecycleEvent, faulted: boolean): LifecycleState {
  const next = TRANSITIONS[state][event] ?? state;
  return next === 'stopped' && faulted ? 'failed' : next;
}

/** How a part is to close: finishing what is in flight within `graceMs`, or at once. */
export interface Closing {
  readonly forced: boolean;
  /** Less than what is left, so that a part can still end by itself what did not finish. */
  readonly graceMs: number;
}

interface Part {
  readonly name: string;
  close(how: Closing): Promise<void> | void;
}

export interface LifecycleOptions {
  readonly graceMs: number;
  readonly forceMs: number;
  /** Told of every change, and of parts that did not close as they should. */
  report(line: string, fields: Readonly<Record<string, unknown>>): void;
}

/** One life: `open` parts, `serve`, then `stop` or `fail`; `ended` settles when all is closed. */
export class Lifecycle {
  readonly #options: LifecycleOptions;
  readonly #parts: Part[] = [];
  readonly #leaving = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  #state: LifecycleState = 'starting';
  #fault: FleetwireError | undefined;
  /** The part being opened: closing waits until it is known what there is to close. */
  #opening: Promise<unknown> | undefined;

  constructor(options: LifecycleOptions) {
    this.#options = options;
    this.#ended.promise.catch(() => undefined);
  }

  get state(): LifecycleState {
    return this.#state;
  }

  /** Aborts when the service is to end: waiting at start stops then. */
  get leaving(): AbortSignal {
    return this.#leaving.signal;
  }

  /** Resolves once stopped; rejects with the fault once failed. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /**
   * Opens a part; `close` is called exactly once, if and only if `open` resolved.
   * Rejects with `cancelled` STOPPING when leaving.
   */
  async open<T>(
    name: string,
    open: (leaving: AbortSignal) => Promise<T> | T,
    close: (value: T, how: Closing) => Promise<void> | void,
  ): Promise<T> {
    this.#refuseWhenLeaving();
    const opening = (async () => {
      const value = await open(this.leaving);
      this.adopt(name, (how) => close(value, how));
      return value;
    })();
    this.#opening = opening.catch(() => undefined);
    const value = await opening;
    this.#refuseWhenLeaving();
    return value;
  }

  /** Takes something over that is open already, to be closed in its turn; at once when everything else is closed. */
  adopt(name: string, close: Part['close']): void {
    if (this.#state !== 'stopped' && this.#state !== 'failed') this.#parts.push({ name, close });
    else void Promise.resolve(close({ forced: true, graceMs: 0 })).catch(() => undefined);
  }

  /** Everything is open. */
  serve(): void {
    this.#refuseWhenLeaving();
    this.#move('opened');
  }

  /** Ends the service in good order; the same promise for all callers. Rejects when it ended as failed. */
  stop(why: string): Promise<void> {
    this.#leave('stop', why);
    return this.#ended.promise;
  }

  /** Ends the service because it cannot go on. */
  fail(thrown: unknown): void {
    if (this.#leaving.signal.aborted) return;
    this.#fault = asFleetwireError(thrown);
    this.#leave('fault', this.#fault.reason);
  }

  #refuseWhenLeaving(): void {
    if (this.#leaving.signal.aborted)
      throw (
        this.#fault ?? new FleetwireError('cancelled', 'STOPPING', 'the service was stopped while it started')
      );
  }

  #move(event: LifecycleEvent, fields: Readonly<Record<string, unknown>> = {}): void {
    const next = nextState(this.#state, event, this.#fault !== undefined);
    if (next === this.#state) return;
    this.#options.report(next, { ...fields, from: this.#state });
    this.#state = next;
  }

  #leave(event: 'stop' | 'fault', why: string): void {
    if (this.#leaving.signal.aborted) return;
    this.#move(event, { why });
    this.#leaving.abort();
    void this.#close().then(
      () => this.#ended.resolve(),
      (error) => this.#ended.reject(asFleetwireError(error)),
    );
  }

  async #close(): Promise<void> {
    const graceOver = performance.now() + this.#options.graceMs;
    const forceOver = graceOver + this.#options.forceMs;
    await this.#within('start', async () => this.#opening, graceOver, forceOver);
    for (let part = this.#parts.pop(); part; part = this.#parts.pop()) {
      const { name, close } = part;
      await this.#within(name, async (how) => close(how), graceOver, forceOver);
    }
    this.#move('closed');
    if (this.#fault) throw this.#fault;
  }

  /** Closes one part, waiting as long as the timers allow. */
  async #within(
    name: string,
    close: (how: Closing) => Promise<unknown>,
    graceOver: number,
    forceOver: number,
  ): Promise<void> {
    const left = graceOver - performance.now();
    if (left <= 0) this.#move('grace_over');
    const forced = this.#state === 'forcing';
    const waitMs = forced ? Math.max(0, forceOver - performance.now()) / (this.#parts.length + 2) : left;
    try {
      if (await settledWithin(close({ forced, graceMs: forced ? 0 : left * 0.8 }), waitMs)) return;
      this.#move('grace_over');
      this.#leftBehind(name);
    } catch (error) {
      this.#options.report('a part failed to close', { part: name, err: error });
    }
  }

  #leftBehind(name: string): void {
    this.#options.report('a part did not close in time and is left behind', { part: name });
    this.#fault ??= new FleetwireError('deadline_exceeded', 'STOP_TIMEOUT', `${name} did not close in time`, {
      help: 'Raise FLEETWIRE_LIFECYCLE_GRACE_MS if it needs longer; the log tells what it was doing.',
    });
  }
}

/** False when `work` took longer than `ms`; its outcome is then nobody's business any more. */
async function settledWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([work.then(() => true as const), late]);
  } finally {
    clearTimeout(timer);
  }
}
