/** What has to be done to make the routing table say what PostgreSQL says. */

/** An entry as it should be. */
export interface WantedEntry {
  readonly epoch: number;
  /** As encoded: equal entries have equal bytes. */
  readonly bytes: Uint8Array;
}

export interface PresentEntry extends WantedEntry {
  /** -1: the entry could not be decoded. */
  readonly epoch: number;
  readonly revision: number;
}

export interface RouteDiff {
  /** Missing or different. */
  readonly put: readonly (readonly [key: string, entry: WantedEntry])[];
  readonly remove: readonly string[];
  /** Those of an earlier epoch than what is there. */
  readonly behind: readonly string[];
}

/**
 * `wanted` was read before `present`: an entry with a later epoch than the one wanted was written in between and
 * stays, unless its row has the epoch wanted still; what is to be removed must be looked up once more before it is.
 */
export function diffRoutes(
  wanted: ReadonlyMap<string, WantedEntry>,
  present: ReadonlyMap<string, PresentEntry>,
): RouteDiff {
  const put: (readonly [string, WantedEntry])[] = [];
  const behind: string[] = [];
  for (const [key, entry] of wanted) {
    const there = present.get(key);
    if (there === undefined || isOutdated(there, entry)) put.push([key, entry]);
    else if (there.epoch > entry.epoch) behind.push(key);
  }
  const remove: string[] = [];
  for (const key of present.keys()) if (!wanted.has(key)) remove.push(key);
  return { put, remove, behind };
}

/** `wanted` is to be written over `there`. */
export function isOutdated(there: WantedEntry, wanted: WantedEntry): boolean {
  return there.epoch <= wanted.epoch && Buffer.compare(there.bytes, wanted.bytes) !== 0;
}
