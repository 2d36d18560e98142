/** The way of a message: hops of several receipts united into one list, ordered as the message went. */

import { isKnownStage, STAGE_RULES } from '@fleetwire/contract';
import type { Hop } from '@fleetwire/gen/message';
import { Stage } from '@fleetwire/gen/message';

/** Hops kept of one message for one recipient; a receipt with more is cut behind these. */
export const HOPS_MAX = 64;

/**
 * Both lists as one set in order. Commutative, associative and idempotent. Of two hops with the same stage,
 * place and time, the one that gives a reason stays; of more than HOPS_MAX, those that decide an end stay.
 */
export function uniteHops(left: readonly Hop[], right: readonly Hop[]): readonly Hop[] {
  const byIdentity = new Map<string, Hop>();
  for (const hop of left) keep(byIdentity, hop);
  for (const hop of right) keep(byIdentity, hop);
  let hops = [...byIdentity.values()];
  if (hops.length > HOPS_MAX) hops = hops.sort(compareWeight).slice(0, HOPS_MAX);
  return hops.sort(compareHops);
}

/** True for a list that `uniteHops` would give back unchanged: what a well-behaved publisher sends. */
export function isUnited(hops: readonly Hop[]): boolean {
  if (hops.length > HOPS_MAX) return false;
  for (let i = 1; i < hops.length; i++) if (placeOf(hops[i - 1]!, hops[i]!) >= 0) return false;
  return true;
}

function keep(byIdentity: Map<string, Hop>, hop: Hop): void {
  const identity = `${hop.attempt} ${hop.stage} ${hop.atUs} ${hop.service} ${hop.instance}`;
  const other = byIdentity.get(identity);
  if (other === undefined || compareWords(hop, other) > 0) byIdentity.set(identity, hop);
}

/** First by the attempt, then by the place along the way, then by time, then by anything that decides. */
export function compareHops(a: Hop, b: Hop): number {
  return placeOf(a, b) || compareWords(a, b);
}

/** Compares all but the words: zero means the same hop. */
function placeOf(a: Hop, b: Hop): number {
  return (
    a.attempt - b.attempt ||
    rankOf(a.stage) - rankOf(b.stage) ||
    a.atUs - b.atUs ||
    a.stage - b.stage ||
    compareText(a.service, b.service) ||
    compareText(a.instance, b.instance)
  );
}

/** What must not be cut first: the latest attempts, and of each proof, then ends, the earliest of each; then the way. */
function compareWeight(a: Hop, b: Hop): number {
  return b.attempt - a.attempt || weightOf(a.stage) - weightOf(b.stage) || compareHops(a, b);
}

function weightOf(stage: Stage): number {
  if (stage === Stage.CONFIRMED) return 0;
  if (!isKnownStage(stage)) return 3;
  return STAGE_RULES[stage].final === 'never' ? 2 : 1;
}

/** Hops of a stage that this version does not know stand at the end, by time. */
function rankOf(stage: Stage): number {
  return isKnownStage(stage) ? STAGE_RULES[stage].rank : Number.MAX_SAFE_INTEGER;
}

function compareWords(a: Hop, b: Hop): number {
  return compareText(a.reason, b.reason) || compareText(a.detail, b.detail);
}

export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
