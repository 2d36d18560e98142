/** Who is a node: one process on one machine at a time. */

import type { NodeRow } from '../store/entities.ts';

export interface Claimant {
  /** Empty from a node that does not tell (protocol 1). */
  readonly instance: string;
  readonly machine: string;
}

/** In so many livenesses whoever is there is heard of, also by other replicas and after a backoff. */
export const WATCH_LIVENESSES = 2;

export type Claim = 'welcome' | 'contender';

/**
 * The same process, the same machine and whoever does not say what it is take over; another machine only when the holder is
 * gone.
 */
export function claimIdentity(
  holder: Pick<NodeRow, 'instance' | 'machine'>,
  claimant: Claimant,
  holderThere: boolean,
): Claim {
  if (!holderThere || claimant.machine === '' || holder.machine === '') return 'welcome';
  if (holder.instance === claimant.instance || holder.machine === claimant.machine) return 'welcome';
  return 'contender';
}

/** What was heard of a holder, and since when everybody could be heard of. Moments in milliseconds of broker time. */
export interface HolderWatch {
  readonly heardAtMs: number;
  /** When it said goodbye. */
  readonly leftAtMs: number;
  readonly unbrokenSinceMs: number;
}

/**
 * For how long it may still be there; 0: it is gone. What was before the last break proves nothing: whoever was there then may
 * have tried in vain to be heard, or have come back.
 */
export function mayBeThereMs(holder: HolderWatch, nowMs: number, livenessMs: number): number {
  const { heardAtMs, leftAtMs, unbrokenSinceMs } = holder;
  if (leftAtMs >= heardAtMs && leftAtMs > unbrokenSinceMs) return 0;
  const untilMs =
    heardAtMs > unbrokenSinceMs ? heardAtMs + livenessMs : unbrokenSinceMs + WATCH_LIVENESSES * livenessMs;
  return Math.max(0, untilMs - nowMs);
}

/** `other`: the identity is another process's now. `stranger`: nobody has said HELLO with an instance. Empty: in protocol 1. */
export function holderOfBeat(
  holder: Pick<NodeRow, 'instance'>,
  instance: string,
): 'same' | 'other' | 'stranger' {
  if (instance === holder.instance) return 'same';
  return holder.instance === '' ? 'stranger' : 'other';
}
