/** What one batch of messages has been refused for want of room, so that nothing later in it overtakes that. */

import type { Outgoing } from '@fleetwire/gen/node';
import { type FleetwireError, foldName } from '@fleetwire/kernel';
import { laneIn } from './outbox-row.ts';

export class FullNow {
  /** The outbox itself. */
  #all: FleetwireError | undefined;
  /** By the lane of a busy recipient. */
  readonly #busy = new Map<string, FleetwireError>();

  /** Throws what an earlier message of the batch, for the same recipient where that is busy, was refused with. */
  check({ to }: Pick<Outgoing, 'to'>): void {
    if (this.#all !== undefined) throw this.#all;
    const refused = this.#busy.size === 0 ? undefined : this.#busy.get(laneIn(to).lane);
    if (refused !== undefined) throw refused;
  }

  learn({ to }: Pick<Outgoing, 'to'>, error: FleetwireError): void {
    if (error.kind !== 'resource_exhausted') return;
    const { lane } = laneIn(to);
    // One that names another recipient says that the whole share is full.
    const own = error.reason === 'RECIPIENT_BUSY' && foldName(error.details['to'] ?? '') === lane;
    if (own) this.#busy.set(lane, error);
    else this.#all = error;
  }
}
