/** The stages of a message as a closed table: how far along the way each stands, and whether it can be an end. */

import { Stage } from '@fleetwire/gen/message';

/** Every stage that a receipt may name. */
export type KnownStage = Exclude<Stage, Stage.UNSPECIFIED>;

export interface StageRule {
  readonly name: string;
  /** Place along the way; hops are ordered by it first, so that clocks a little apart do not turn a way round. */
  readonly rank: number;
  /** `claimed`: an end only where the receipt says so (an adapter that can give no proof). */
  readonly final: 'never' | 'claimed' | 'always';
  /** An end that proof of delivery, coming later, still turns into `confirmed`. */
  readonly upgradable: boolean;
}

/** A stage without a rule does not compile. */
export const STAGE_RULES: Readonly<Record<KnownStage, StageRule>> = {
  [Stage.ACCEPTED]: { name: 'accepted', rank: 1, final: 'never', upgradable: false },
  [Stage.ROUTED]: { name: 'routed', rank: 2, final: 'never', upgradable: false },
  [Stage.HELD]: { name: 'held', rank: 3, final: 'never', upgradable: false },
  [Stage.DELIVERED]: { name: 'delivered', rank: 4, final: 'claimed', upgradable: true },
  [Stage.CONFIRMED]: { name: 'confirmed', rank: 5, final: 'always', upgradable: false },
  [Stage.UNCONFIRMED]: { name: 'unconfirmed', rank: 5, final: 'always', upgradable: true },
  [Stage.EXPIRED]: { name: 'expired', rank: 5, final: 'always', upgradable: true },
  [Stage.RETURNED]: { name: 'returned', rank: 5, final: 'always', upgradable: true },
  [Stage.DEAD]: { name: 'dead', rank: 5, final: 'always', upgradable: false },
};

/** False for 0 and for numbers of a newer schema. */
export function isKnownStage(stage: number): stage is KnownStage {
  return Object.hasOwn(STAGE_RULES, stage);
}

/** Whether a receipt of this stage ends the message; `claimed` is what the receipt itself says. */
export function endsMessage(stage: KnownStage, claimed: boolean): boolean {
  const { final } = STAGE_RULES[stage];
  return final === 'always' || (final === 'claimed' && claimed);
}
