/** What nodes have denied their own agents by the org's policies, told as events, so that the org's audit has it. */

import { EVENT_NAMES } from '@fleetwire/contract';
import type { Denial } from '@fleetwire/gen/message';
import type { Clock } from '@fleetwire/kernel';
import { Allowance } from '../domain/allowance.ts';
import { cleaned } from '../domain/node-facts.ts';
import type { Announcer } from './announcer.ts';

export interface DenialNewsOptions {
  readonly announcer: Pick<Announcer, 'tell'>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Nodes remembered. */
  readonly max: number;
}

export interface Denying {
  readonly org: string;
  readonly node: string;
  /** Of its process. */
  readonly instance: string;
}

/** Of one heartbeat; a node gathers what is equal, so more are of no use. */
const AT_ONCE = 20;
const EXPLANATION_CHARS = 500;
/** Of one node: what a heartbeat every ten seconds may bring, and twice that at once. */
const BURST = 2 * AT_ONCE;
const EVERY_MS = 500;

export class DenialNews {
  readonly #options: DenialNewsOptions;
  readonly #allowed: Allowance;

  constructor(options: DenialNewsOptions) {
    this.#options = options;
    this.#allowed = new Allowance({ burst: BURST, everyMs: EVERY_MS, max: options.max });
  }

  /** What is beyond the bounds is left out. The same denials told again have the same id. */
  note({ org, node, instance }: Denying, denials: readonly Denial[]): void {
    const { announcer, clock } = this.#options;
    for (const denial of denials.slice(0, AT_ONCE)) {
      if (this.#allowed.take(node, clock.monotonicMs()) !== undefined) return;
      announcer.tell({
        org,
        name: EVENT_NAMES.denied,
        id: `denied-${node}-${instance}-${denial.seq}`,
        actor: cleaned(denial.actor),
        target: cleaned(denial.targetName),
        details: {
          action: 'message',
          reason: cleaned(denial.reason),
          policy: cleaned(denial.policy),
          explanation: cleaned(denial.explanation, EXPLANATION_CHARS),
          actor_name: cleaned(denial.actorName),
          target_name: cleaned(denial.targetName),
          count: String(denial.count),
          node,
        },
      });
    }
  }
}
