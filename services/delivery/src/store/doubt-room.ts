/** How much in doubt of one publisher is kept: what is not decided yet must not grow without end. */

import { keepNewest } from '@fleetwire/kernel';
import type { StoreTransaction } from '@fleetwire/store';

export interface Publisher {
  readonly org: string;
  readonly publisher: string;
}

interface Left {
  room: number;
  /** Until then it is believed that there is no more: so a flood is counted now and then, not for each batch. */
  readonly countedUntilMs: number;
}

const COUNT_AGAIN_MS = 1000;
const PUBLISHERS_MAX = 10_000;

/** `weightOf` as SQL. */
const WEIGHT = '1 + octet_length(receipt) / 1024';

/** One, and one more for each whole KiB: a few huge ones take as much room as many. */
export function weightOf({ receipt }: { readonly receipt: Uint8Array }): number {
  return 1 + Math.floor(receipt.length / 1024);
}

/** Counts when what was there at the last count has been used. Of one replica; what others keep meanwhile comes on top. */
export class DoubtRoom {
  readonly #max: number;
  readonly #left = new Map<string, Left>();

  /** `max`: of one publisher, by weight. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Takes from what its publisher has, and gives how much of `wanted` there was. */
  async take(tx: Pick<StoreTransaction, 'query'>, whose: Publisher, wanted: number): Promise<number> {
    const name = `${whose.org} ${whose.publisher}`;
    const nowMs = performance.now();
    let left = this.#left.get(name);
    if (left === undefined || (left.room < wanted && nowMs >= left.countedUntilMs)) {
      left = { room: await this.#count(tx, whose), countedUntilMs: nowMs + COUNT_AGAIN_MS };
      this.#left.set(name, left);
      keepNewest(this.#left, PUBLISHERS_MAX);
    }
    const taken = Math.max(0, Math.min(wanted, left.room));
    left.room -= taken;
    return taken;
  }

  async #count(tx: Pick<StoreTransaction, 'query'>, { org, publisher }: Publisher): Promise<number> {
    const [open] = await tx.query<{ weight: number }>(
      `select coalesce(sum(weight), 0)::int as weight from (
         select ${WEIGHT} as weight from doubts where org = $1 and publisher = $2 limit $3) counted`,
      [org, publisher, this.#max],
    );
    return this.#max - open!.weight;
  }
}
