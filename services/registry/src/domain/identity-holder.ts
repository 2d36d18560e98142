/** Who is a node: one process on one machine at a time. */

import type { NodeRow } from '../store/entities.ts';

export interface Claimant {
  /** Empty from a node that does not tell (protocol 1). */
  readonly instance: string;
  readonly machine: string;
}

export type Claim = 'welcome' | 'contender';

/**
 * The same process, the same machine and whoever does not say what it is take over; another machine only when the holder is
 * silent or has left.
 */
export function claimIdentity(
  holder: Pick<NodeRow, 'instance' | 'machine'>,
  claimant: Claimant,
  holderOnline: boolean,
): Claim {
  if (!holderOnline || claimant.machine === '' || holder.machine === '') return 'welcome';
  if (holder.instance === claimant.instance || holder.machine === claimant.machine) return 'welcome';
  return 'contender';
}

/** `other`: the identity is another process's now. `stranger`: nobody has said HELLO with an instance. */
export function holderOfBeat(
  holder: Pick<NodeRow, 'instance'>,
  instance: string,
): 'same' | 'other' | 'stranger' {
  if (instance === '' || instance === holder.instance) return 'same';
  return holder.instance === '' ? 'stranger' : 'other';
}
