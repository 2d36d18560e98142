/** Which partitions history needs: ranges of message ids by the time in them, made ahead of time and given up as wholes. */

const DAY_MS = 86_400_000;
/** How many a whole history is cut into, about. */
const PARTS = 30;
/** For ever, in partitions of so many days. */
const DAYS_FOR_EVER = 30;
/** Partitions that are there before their time comes: nothing is late if a replica is away for so long. */
const AHEAD = 3;

/** From the first moment on, up to but without the last. */
export interface TimeRange {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Milliseconds of one partition: whole days. `historyDays` 0: for ever. */
export function partitionWidthMs(historyDays: number): number {
  return (historyDays === 0 ? DAYS_FOR_EVER : Math.ceil(historyDays / PARTS)) * DAY_MS;
}

/**
 * Ranges to be made, in order: from where the newest partition ends, so that what waited in the streams while nobody was
 * there has its place, or from yesterday on when there is none; never older than what is kept.
 */
export function missingRanges(endsMs: readonly number[], nowMs: number, historyDays: number): TimeRange[] {
  const width = partitionWidthMs(historyDays);
  const today = Math.floor(nowMs / width) * width;
  const newestMs = Math.max(...endsMs);
  const oldestMs = historyDays === 0 ? newestMs : today - historyDays * DAY_MS;
  let fromMs = endsMs.length === 0 ? today - width : Math.max(newestMs, oldestMs);
  const ranges: TimeRange[] = [];
  for (; fromMs < today + AHEAD * width; fromMs = ranges.at(-1)!.toMs)
    ranges.push({ fromMs, toMs: (Math.floor(fromMs / width) + 1) * width });
  return ranges;
}

/** The moment before which nothing is kept; undefined: everything is. */
export function keptSinceMs(nowMs: number, historyDays: number): number | undefined {
  return historyDays === 0 ? undefined : nowMs - historyDays * DAY_MS;
}
