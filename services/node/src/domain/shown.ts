/** What a reader is being shown: as long as that lasts nobody else is given it, and neither time nor its sender ends it. */

/** How long it can last, however often it is renewed. */
export const HOLD_MAX_MS = 60_000;

/** Monotonic milliseconds; forgotten by a restart, after which the message is shown again. */
export interface Shown {
  readonly sinceMs: number;
  readonly untilMs: number;
}

export const shownFor = (holdMs: number, nowMs: number): Shown => ({
  sinceMs: nowMs,
  untilMs: nowMs + Math.min(holdMs, HOLD_MAX_MS),
});

/** From now on for `holdMs`; 0: no longer. */
export const renewed = ({ sinceMs }: Shown, holdMs: number, nowMs: number): Shown => ({
  sinceMs,
  untilMs: Math.min(nowMs + holdMs, sinceMs + HOLD_MAX_MS),
});

export const isShown = ({ shown }: { readonly shown: Shown | undefined }, nowMs: number): boolean =>
  shown !== undefined && shown.untilMs > nowMs;
