/**
 * What became of one message for one recipient, and how two receipts about it become one.
 *
 * Receipts arrive late, twice and in any order, by several replicas. So the hops are a set that only grows, and
 * the stage is worked out from that set: the latest stage while there is no end; else the first end by broker
 * time; and proof of delivery, whenever it was given, turns an upgradable end into `confirmed`. Of a message that was replayed
 * only the hops of its latest attempt decide.
 */

import {
  endsMessage,
  isKnownStage,
  type KnownStage,
  MOVES,
  STAGE_RULES,
  standingOf,
} from '@fleetwire/contract';
import type { Hop, Proof, Receipt } from '@fleetwire/gen/message';
import { Stage } from '@fleetwire/gen/message';
import { compareHops, compareText, isUnited, uniteHops } from './hops.ts';
import { latestProof } from './proof.ts';

export interface Settlement {
  readonly stage: KnownStage;
  readonly final: boolean;
  readonly reason: string;
  readonly detail: string;
  /** When the stage was reached, microseconds since the Unix epoch, in broker time. */
  readonly atUs: number;
  /** Ordered along the way; contains the hop that the stage comes from. */
  readonly hops: readonly Hop[];
  /** A receipt named `delivered` as the end; its hop alone does not tell. */
  readonly deliveredEnds: boolean;
  /** Who published the receipts: node ids and service names, sorted. */
  readonly publishers: readonly string[];
  readonly about: SettlementSubject;
  /** What showed that it was taken up, of its latest attempt the first. It may wait here for the hop that it belongs to. */
  readonly proof: Proof | undefined;
}

/** What receipts say of the message itself: all that is known while its history has not arrived. */
export interface SettlementSubject {
  readonly to: string;
  readonly fromAgent: string;
  readonly correlationId: string;
  readonly traceparent: string;
  readonly recipientName: string;
  /** Of a message to many, without a recipient: how many a router has found; of several counts, the largest. */
  readonly fanOut: number;
}

/** True where it says only how many recipients a message to many has: nothing of it is left to end. */
export function isCount(recipient: string, { stage }: Pick<Settlement, 'stage'>): boolean {
  return recipient === '' && stage === Stage.ROUTED;
}

/** Publishers remembered of one settlement. */
const PUBLISHERS_MAX = 8;

/**
 * Reads one receipt. `publisher` is the last token of its subject, `storedAtUs` when the broker stored it: the
 * time of its stage where its hops lack it. Undefined when its stage is none that this version knows.
 */
export function settlementOf(
  receipt: Receipt,
  publisher: string,
  storedAtUs: number,
): Settlement | undefined {
  const { stage } = receipt;
  if (!isKnownStage(stage)) return undefined;
  const about = subjectOf(receipt);
  const own = receipt.hops.findLast((hop) => hop.stage === stage && hop.attempt === receipt.attempt);
  const complete = own !== undefined && (own.reason !== '' || receipt.reason === '');
  const hops =
    complete && isUnited(receipt.hops)
      ? receipt.hops
      : uniteHops(receipt.hops, [ownHop(receipt, own, publisher, storedAtUs)]);
  return decide(hops, stage === Stage.DELIVERED && receipt.final, [publisher], about, proofOf(receipt));
}

function proofOf({ proof, attempt }: Receipt): Proof | undefined {
  return proof === undefined ? undefined : { ...proof, attempt };
}

function subjectOf({
  to,
  fromAgent,
  correlationId,
  traceparent,
  recipientName,
  fanOut,
}: Receipt): SettlementSubject {
  return { to, fromAgent, correlationId, traceparent, recipientName, fanOut };
}

/** The hop that a receipt is about, with the receipt's reason where the hop has none. */
function ownHop(receipt: Receipt, own: Hop | undefined, publisher: string, storedAtUs: number): Hop {
  const { stage, reason, detail, attempt } = receipt;
  if (own !== undefined) return own.reason === '' ? { ...own, reason, detail: detail || own.detail } : own;
  return {
    stage,
    service: serviceOf(publisher),
    instance: publisher,
    atUs: storedAtUs,
    reason,
    detail,
    attempt,
  };
}

/** Services publish under their name, nodes under their id. */
function serviceOf(publisher: string): string {
  return SERVICE_PUBLISHERS.has(publisher) ? publisher : 'node';
}
const SERVICE_PUBLISHERS: ReadonlySet<string> = new Set(['router', 'registry', 'delivery']);

/** A settlement from what was kept of it: `mergedReceipt` of it, and the two facts that a receipt has no field for. */
export function restoreSettlement(
  receipt: Receipt,
  deliveredEnds: boolean,
  publishers: readonly string[],
): Settlement {
  const about = subjectOf(receipt);
  return decide(receipt.hops, deliveredEnds, publishers, about, receipt.proof);
}

/** One receipt that says what all receipts of this settlement say. */
export function mergedReceipt(messageId: string, recipient: string, settlement: Settlement): Receipt {
  const { stage, final, reason, detail, hops, about, proof } = settlement;
  const attempt = attemptOf(hops);
  return { ...about, messageId, recipient, stage, final, reason, detail, hops: [...hops], attempt, proof };
}

/**
 * Two settlements of the same message and recipient as one. Commutative, associative and idempotent, so any
 * order and any repetition of the same receipts ends the same.
 */
export function mergeSettlements(a: Settlement, b: Settlement): Settlement {
  const hops = uniteHops(a.hops, b.hops);
  const publishers = [...new Set([...a.publishers, ...b.publishers])].sort().slice(0, PUBLISHERS_MAX);
  const about: SettlementSubject = {
    to: firstText(a.about.to, b.about.to),
    fromAgent: firstText(a.about.fromAgent, b.about.fromAgent),
    correlationId: firstText(a.about.correlationId, b.about.correlationId),
    traceparent: firstText(a.about.traceparent, b.about.traceparent),
    recipientName: firstText(a.about.recipientName, b.about.recipientName),
    fanOut: Math.max(a.about.fanOut, b.about.fanOut),
  };
  const proof = latestProof(a.proof, b.proof);
  return decide(hops, a.deliveredEnds || b.deliveredEnds, publishers, about, proof);
}

/** Told of two settlements before they become one. */
export type Contradicted = (a: Settlement, b: Settlement) => void;

/** True where both name an end of the same attempt, and one of these is refused for the other. */
export function contradicts(a: Settlement, b: Settlement): boolean {
  if (!a.final || !b.final || attemptOf(a.hops) !== attemptOf(b.hops)) return false;
  return MOVES[standingOf(a.stage, a.final)][standingOf(b.stage, b.final)] === 'contradicts';
}

/** The one that is given; of two different ones the lesser, so that order does not matter. */
function firstText(a: string, b: string): string {
  if (a === '' || b === '') return a || b;
  return compareText(a, b) <= 0 ? a : b;
}

function decide(
  hops: readonly Hop[],
  deliveredEnds: boolean,
  publishers: readonly string[],
  about: SettlementSubject,
  shownBy: Proof | undefined,
): Settlement {
  const attempt = attemptOf(hops);
  let latest: Hop | undefined;
  let firstEnd: Hop | undefined;
  let proof: Hop | undefined;
  for (const hop of hops) {
    if (!isKnownStage(hop.stage) || hop.attempt !== attempt) continue;
    if (!endsMessage(hop.stage, deliveredEnds)) {
      if (latest === undefined || STAGE_RULES[hop.stage].rank > rank(latest)) latest = hop;
      continue;
    }
    if (firstEnd === undefined || isBefore(hop, firstEnd)) firstEnd = hop;
    if (hop.stage === Stage.CONFIRMED && (proof === undefined || isBefore(hop, proof))) proof = hop;
  }
  const end = firstEnd !== undefined && isUpgradable(firstEnd) ? (proof ?? firstEnd) : firstEnd;
  const shown = end ?? latest!;
  const { reason, detail, atUs } = shown;
  const stage = shown.stage as KnownStage;
  const final = end !== undefined;
  return { stage, final, reason, detail, atUs, hops, deliveredEnds, publishers, about, proof: shownBy };
}

/** As if there had been this attempt only; undefined: nothing is known of it. */
export function attemptSettlement(settlement: Settlement, attempt: number): Settlement | undefined {
  const { deliveredEnds, publishers, about, proof } = settlement;
  const hops = settlement.hops.filter((hop) => hop.attempt === attempt && isKnownStage(hop.stage));
  const shownBy = proof?.attempt === attempt ? proof : undefined;
  return hops.length === 0 ? undefined : decide(hops, deliveredEnds, publishers, about, shownBy);
}

/**
 * The latest attempt, where all that it led to has come back or expired; undefined: not so. `settlements`: of one message, with
 * the recipient's id, which is empty of who was not found.
 */
export function attemptThatCameBack(
  settlements: readonly { readonly recipient: string; readonly settlement: Settlement }[],
): number | undefined {
  const attempts = settlements.map(({ settlement }) => attemptOf(settlement.hops));
  const latest = Math.max(0, ...attempts);
  const all = settlements.filter((_, i) => attempts[i] === latest);
  const found = all.filter(({ recipient }) => recipient !== '');
  const ends = found.length > 0 ? found : all;
  const back = ends.every(({ settlement: { stage } }) => stage === Stage.RETURNED || stage === Stage.EXPIRED);
  return latest > 0 && back ? latest : undefined;
}

/** The latest of which a stage is known: it decides, whatever became of those before it. */
export function attemptOf(hops: readonly Hop[]): number {
  return hops.reduce((latest, hop) => (isKnownStage(hop.stage) ? Math.max(latest, hop.attempt) : latest), 0);
}

function rank(hop: Hop): number {
  return STAGE_RULES[hop.stage as KnownStage].rank;
}

function isUpgradable(hop: Hop): boolean {
  return STAGE_RULES[hop.stage as KnownStage].upgradable;
}

function isBefore(a: Hop, b: Hop): boolean {
  return (a.atUs - b.atUs || compareHops(a, b)) < 0;
}
