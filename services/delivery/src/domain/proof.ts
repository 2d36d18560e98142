/** Of several proofs of one message the first of its latest attempt, whatever the order in which they come. */

import type { Proof } from '@fleetwire/gen/message';
import { compareText } from './hops.ts';

/** Commutative, associative and idempotent. */
export function latestProof(a: Proof | undefined, b: Proof | undefined): Proof | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareProofs(a, b) <= 0 ? a : b;
}

function compareProofs(a: Proof, b: Proof): number {
  return (
    b.attempt - a.attempt ||
    a.detectedAtUs - b.detectedAtUs ||
    a.injectedAtUs - b.injectedAtUs ||
    compareText(a.source, b.source) ||
    compareText(a.place, b.place) ||
    compareText(a.matched, b.matched)
  );
}

export function isSameProof(a: Proof | undefined, b: Proof | undefined): boolean {
  return a === undefined || b === undefined ? a === b : compareProofs(a, b) === 0;
}
