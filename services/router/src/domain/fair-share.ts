/** How the partitions are shared among the routers that are alive: pure arithmetic on what all of them can see. */

export interface ShareView {
  readonly partitions: number;
  /** Instances whose presence key is there; this one may be missing from its own view. */
  readonly live: readonly string[];
  readonly me: string;
  /** Partitions whose lease this instance holds or is about to hold. */
  readonly mine: readonly number[];
  /** Partitions whose lease somebody holds, this instance included. */
  readonly taken: ReadonlySet<number>;
}

export interface ShareDecision {
  /** Free partitions to try for, best first. */
  readonly acquire: readonly number[];
  /** One partition at most: shares move gently, one at each look. */
  readonly release: number | undefined;
}

/**
 * How many partitions `me` may hold: P / n, the first of the sorted instances taking one of the rest each. All
 * shares add up to P and none is more than ceil(P / n).
 */
export function quota(partitions: number, live: readonly string[], me: string): number {
  const members = sortedWith(live, me);
  const extra = members.indexOf(me) < partitions % members.length ? 1 : 0;
  return Math.floor(partitions / members.length) + extra;
}

/** What to try for and what to give up, so that repeated looks by all instances end with every partition held once. */
export function share(view: ShareView): ShareDecision {
  const room = quota(view.partitions, view.live, view.me) - view.mine.length;
  if (room < 0) return { acquire: [], release: Math.max(...view.mine) };
  const members = sortedWith(view.live, view.me);
  // Each instance begins elsewhere, so that they do not all try for the same one.
  const start = Math.floor((members.indexOf(view.me) * view.partitions) / members.length);
  const acquire: number[] = [];
  for (let i = 0; i < view.partitions && acquire.length < room; i++) {
    const partition = (start + i) % view.partitions;
    if (!view.taken.has(partition) && !view.mine.includes(partition)) acquire.push(partition);
  }
  return { acquire, release: undefined };
}

function sortedWith(live: readonly string[], me: string): string[] {
  return [...new Set([...live, me])].sort();
}
