/** Ranges of message ids in which a list is read, newest first: one partition, then twice as many each time. */

/** Greater than any id. */
export const ABOVE_ALL = '~';

/** From the first id on, up to but without the second. */
export interface IdWindow {
  readonly from: string;
  readonly below: string;
}

/**
 * All of [from, below) in order. `starts` are the least ids of partitions, in any order; `now` is what ids of this moment
 * begin with, so that the first window is the partition that is being written, with all that clocks have put beyond it.
 * Most lists end within it, and planning a statement for one partition is much cheaper than for all.
 */
export function* idWindows(starts: readonly string[], now: string, range: IdWindow): Iterable<IdWindow> {
  const newest = range.below < now ? range.below : now;
  const cuts = [...new Set(starts)].filter((start) => start !== '' && start < newest && start > range.from);
  cuts.sort((a, b) => (a < b ? 1 : -1));
  let { below } = range;
  // The 1st cut, then the 2nd, 4th, 8th...
  for (let at = 1; at <= cuts.length; at *= 2) {
    const from = cuts[at - 1]!;
    yield { from, below };
    below = from;
  }
  yield { from: range.from, below };
}
