/** The stages of a message as one closed machine: what each is, who may say it, and what may follow it. */

import { type Receipt, Stage } from '@fleetwire/gen/message';

/** Every stage that a receipt may name. */
export type KnownStage = Exclude<Stage, Stage.UNSPECIFIED>;

/**
 * Who speaks. Services by the last token of a receipt's subject, which the servers enforce; a node as `recipient` where the
 * recipient lives, or has lived, and as `sender` where it has itself accepted the message.
 */
export type Speaker = 'recipient' | 'sender' | 'router' | 'registry' | 'delivery';

export interface StageRule {
  readonly name: string;
  /** Place along the way; hops are ordered by it first, so that clocks a little apart do not turn a way round. */
  readonly rank: number;
  /** `claimed`: an end only where the receipt says so (an adapter that can give no proof). */
  readonly final: 'never' | 'claimed' | 'always';
  /** An end that proof of delivery, coming later, still turns into `confirmed`. */
  readonly upgradable: boolean;
  /** Whose word it is. */
  readonly saidBy: readonly Speaker[];
  /** Others may repeat it as a part of the way: nothing follows from it. */
  readonly quotable: boolean;
}

const OF_RECIPIENT: readonly Speaker[] = ['recipient'];

/** A stage without a rule does not compile. */
export const STAGE_RULES: Readonly<Record<KnownStage, StageRule>> = {
  [Stage.ACCEPTED]: rule('accepted', 1, 'never', ['sender', 'recipient', 'delivery'], { quotable: true }),
  [Stage.ROUTED]: rule('routed', 2, 'never', ['router'], { quotable: true }),
  [Stage.HELD]: rule('held', 3, 'never', OF_RECIPIENT),
  [Stage.DELIVERED]: rule('delivered', 4, 'claimed', OF_RECIPIENT, { upgradable: true }),
  [Stage.CONFIRMED]: rule('confirmed', 5, 'always', OF_RECIPIENT),
  [Stage.UNCONFIRMED]: rule('unconfirmed', 5, 'always', OF_RECIPIENT, { upgradable: true }),
  [Stage.EXPIRED]: rule('expired', 5, 'always', ['recipient', 'sender', 'router', 'delivery'], {
    upgradable: true,
  }),
  [Stage.RETURNED]: rule('returned', 5, 'always', ['recipient', 'sender', 'router', 'registry', 'delivery'], {
    upgradable: true,
  }),
  [Stage.DEAD]: rule('dead', 5, 'always', ['recipient', 'router']),
};

function rule(
  name: string,
  rank: number,
  final: StageRule['final'],
  saidBy: readonly Speaker[],
  { upgradable = false, quotable = false } = {},
): StageRule {
  return { name, rank, final, upgradable, saidBy, quotable };
}

/** False for 0 and for numbers of a newer schema. */
export function isKnownStage(stage: number): stage is KnownStage {
  return Object.hasOwn(STAGE_RULES, stage);
}

/** Whether a receipt of this stage ends the message; `claimed` is what the receipt itself says. */
export function endsMessage(stage: KnownStage, claimed: boolean): boolean {
  const { final } = STAGE_RULES[stage];
  return final === 'always' || (final === 'claimed' && claimed);
}

/** Where a message stands for one recipient: `handed` is `delivered` as its end. */
export type Standing =
  | 'accepted'
  | 'routed'
  | 'held'
  | 'delivered'
  | 'handed'
  | 'confirmed'
  | 'unconfirmed'
  | 'expired'
  | 'returned'
  | 'dead';

/**
 * What a receipt does to where the message stands. `goes on`, `ends` and `upgrades` change it. `repeats` and `late` change
 * nothing: it was so, or has been so. `contradicts`: a second end, which is refused; of two ends the one that came first in
 * broker time holds, whichever was heard of first.
 */
export type Move = 'repeats' | 'late' | 'goes on' | 'ends' | 'upgrades' | 'contradicts';

type Row = Readonly<Record<Standing, Move>>;

const ENDS = {
  handed: 'ends',
  confirmed: 'ends',
  unconfirmed: 'ends',
  expired: 'ends',
  returned: 'ends',
  dead: 'ends',
} as const;
const PASSED = { accepted: 'late', routed: 'late', held: 'late', delivered: 'late' } as const;
/** An end that proof still changes. */
const WEAK = {
  ...PASSED,
  handed: 'contradicts',
  confirmed: 'upgrades',
  unconfirmed: 'contradicts',
  expired: 'contradicts',
  returned: 'contradicts',
  dead: 'contradicts',
} as const;

/** From where it stands to what is said: a pair that is missing does not compile. */
export const MOVES: Readonly<Record<Standing, Row>> = {
  accepted: { accepted: 'repeats', routed: 'goes on', held: 'goes on', delivered: 'goes on', ...ENDS },
  routed: { accepted: 'late', routed: 'repeats', held: 'goes on', delivered: 'goes on', ...ENDS },
  held: { accepted: 'late', routed: 'late', held: 'repeats', delivered: 'goes on', ...ENDS },
  delivered: { ...PASSED, delivered: 'repeats', ...ENDS },
  handed: { ...WEAK, handed: 'repeats' },
  unconfirmed: { ...WEAK, unconfirmed: 'repeats' },
  expired: { ...WEAK, expired: 'repeats' },
  returned: { ...WEAK, returned: 'repeats' },
  confirmed: {
    ...PASSED,
    handed: 'late',
    confirmed: 'repeats',
    unconfirmed: 'late',
    expired: 'late',
    returned: 'late',
    dead: 'contradicts',
  },
  dead: {
    ...PASSED,
    handed: 'contradicts',
    confirmed: 'contradicts',
    unconfirmed: 'contradicts',
    expired: 'contradicts',
    returned: 'contradicts',
    dead: 'repeats',
  },
};

/** `ended`: whether the receipt, or what is known, names the stage as its end. */
export function standingOf(stage: KnownStage, ended: boolean): Standing {
  if (stage === Stage.DELIVERED && ended) return 'handed';
  return STAGE_RULES[stage].name as Standing;
}

/** Why a receipt is refused for what it says, whoever it is about. */
export type ReceiptFault = 'RECEIPT_STAGE_UNKNOWN' | 'RECEIPT_NOT_AN_END' | 'RECEIPT_NOT_ITS_WORD';

/**
 * Undefined: `speaker` may say all that is in the receipt. Its hops count as well as its stage, for an end follows from
 * either; hops of stages that this version does not know are passed over.
 */
export function receiptFault(
  { stage, final, hops }: Pick<Receipt, 'stage' | 'final' | 'hops'>,
  speaker: Speaker,
): ReceiptFault | undefined {
  if (!isKnownStage(stage)) return 'RECEIPT_STAGE_UNKNOWN';
  if (final && STAGE_RULES[stage].final === 'never') return 'RECEIPT_NOT_AN_END';
  if (!STAGE_RULES[stage].saidBy.includes(speaker)) return 'RECEIPT_NOT_ITS_WORD';
  for (const hop of hops) {
    if (!isKnownStage(hop.stage)) continue;
    const { saidBy, quotable } = STAGE_RULES[hop.stage];
    if (!quotable && !saidBy.includes(speaker)) return 'RECEIPT_NOT_ITS_WORD';
  }
  return undefined;
}

/** Where a message can be waited for, in their order. */
export const WAY: readonly KnownStage[] = [
  Stage.ACCEPTED,
  Stage.ROUTED,
  Stage.HELD,
  Stage.DELIVERED,
  Stage.CONFIRMED,
];

/** By this receipt the message has come as far as `stage`, one of WAY, or further: whatever became of it afterwards. */
export function hasComeTo({ stage, hops }: Pick<Receipt, 'stage' | 'hops'>, wanted: Stage): boolean {
  const from = WAY.indexOf(wanted as KnownStage);
  const isBehind = (one: Stage) => WAY.indexOf(one as KnownStage) >= from;
  return from >= 0 && (isBehind(stage) || hops.some((hop) => isBehind(hop.stage)));
}

/** Undefined: it is a node, or nobody that this version knows. */
export function speakerOfService(publisher: string): Speaker | undefined {
  return SERVICES.get(publisher);
}
const SERVICES: ReadonlyMap<string, Speaker> = new Map([
  ['router', 'router'],
  ['registry', 'registry'],
  ['delivery', 'delivery'],
]);
