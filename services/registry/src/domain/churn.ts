/** How many agents may come, go and change their names: each leaves a mark in the routing table of all. */

import { type Clock, FleetwireError } from '@fleetwire/kernel';
import { Allowance, type AllowanceOptions } from './allowance.ts';

export interface ChurnOptions {
  readonly ofNodes: AllowanceOptions;
  readonly ofOrgs: AllowanceOptions;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

export class Churn {
  readonly #nodes: Allowance;
  readonly #orgs: Allowance;
  readonly #clock: ChurnOptions['clock'];

  constructor({ ofNodes, ofOrgs, clock }: ChurnOptions) {
    this.#nodes = new Allowance(ofNodes);
    this.#orgs = new Allowance(ofOrgs);
    this.#clock = clock;
  }

  /** Throws TOO_MUCH_CHURN; then none of these may. */
  spend(node: { readonly id: string; readonly org: string }, agents: number): void {
    if (agents === 0) return;
    const now = this.#clock.monotonicMs();
    const refused = this.#nodes.take(node.id, now, agents) ?? this.#orgs.take(node.org, now, agents);
    if (refused === undefined) return;
    const message = 'too many agents come, go or change their names';
    throw new FleetwireError('resource_exhausted', 'TOO_MUCH_CHURN', message, {
      help: 'Keep agents registered while they are idle.',
      retryAfterMs: refused.waitMs,
    });
  }

  /** Refusals since the start. */
  get refused(): number {
    return this.#nodes.refused + this.#orgs.refused;
  }
}
