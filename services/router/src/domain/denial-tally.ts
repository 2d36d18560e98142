/** Denied messages as the audit is told of them: the first at once, what repeats it as a number. */

import type { Decision } from '@fleetwire/access';
import { Tally } from '@fleetwire/kernel';

export interface Denial {
  readonly org: string;
  /** Id and name of the agent that sent. */
  readonly actor: string;
  readonly actorName: string;
  /** Of the agent that it was for. */
  readonly target: string;
  readonly targetName: string;
  readonly decision: Decision;
}

export interface CountedDenial extends Denial {
  /** How many messages it stands for. */
  readonly count: number;
}

interface Row {
  readonly denial: Denial;
  sinceMs: number;
  /** Not yet told. */
  count: number;
}

/** Pairs of one org that are told of one by one within a period; further ones are told of together. */
export const PAIRS_OF_ORG_MAX = 100;
/** Rows of all orgs; beyond, the oldest is told of and forgotten. */
export const ROWS_MAX = 10_000;
/** Stands for an agent where several are meant. */
const OTHERS = 'others';

/**
 * Guarantees: every denial is counted in exactly one of those given out; of one org no more than PAIRS_OF_ORG_MAX + 1 rows are
 * kept at a time, each given out at once and then at most once in each period.
 */
export class DenialTally {
  readonly #everyMs: number;
  /** In the order of `sinceMs`. */
  readonly #rows = new Map<string, Row>();
  readonly #ofOrg = new Tally<string>();
  #due: CountedDenial[] = [];

  constructor(o: { readonly everyMs: number }) {
    this.#everyMs = o.everyMs;
  }

  note(denial: Denial, nowMs: number): void {
    const { org, actor, target, decision } = denial;
    if (this.#count(`${org} ${actor} ${target} ${decision.matchedPolicy}`)) return;
    if (this.#ofOrg.of(org) < PAIRS_OF_ORG_MAX) {
      this.#open(`${org} ${actor} ${target} ${decision.matchedPolicy}`, denial, nowMs);
      return;
    }
    if (this.#count(`${org} ${OTHERS}`)) return;
    const others = { actor: OTHERS, actorName: OTHERS, target: OTHERS, targetName: OTHERS };
    this.#open(`${org} ${OTHERS}`, { ...denial, ...others }, nowMs);
  }

  /** What is to be told now; with `all`, also what has not waited for its period. Each is given out once. */
  take(nowMs: number, all = false): readonly CountedDenial[] {
    for (const [key, row] of this.#rows) {
      if (!all && nowMs - row.sinceMs < this.#everyMs) break;
      this.#close(key, row);
      if (row.count === 0 || all) continue;
      this.#open(key, row.denial, nowMs, 0);
    }
    const due = this.#due;
    if (due.length > 0) this.#due = [];
    return due;
  }

  get rows(): number {
    return this.#rows.size;
  }

  #count(key: string): boolean {
    const row = this.#rows.get(key);
    if (row !== undefined) row.count++;
    return row !== undefined;
  }

  #open(key: string, denial: Denial, nowMs: number, told = 1): void {
    if (this.#rows.size >= ROWS_MAX) {
      const [oldest, row] = this.#rows.entries().next().value!;
      this.#close(oldest, row);
    }
    if (told > 0) this.#due.push({ ...denial, count: told });
    this.#rows.set(key, { denial, sinceMs: nowMs, count: 0 });
    this.#ofOrg.add(denial.org);
  }

  /** Tells of what it has counted, and forgets it. */
  #close(key: string, { denial, count }: Row): void {
    if (count > 0) this.#due.push({ ...denial, count });
    this.#rows.delete(key);
    this.#ofOrg.drop(denial.org);
  }
}
