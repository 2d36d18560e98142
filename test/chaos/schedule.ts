/** What happens to the routers (or to others, when asked for), and when: a pure function of the seed. */

import type { Random } from '@fleetwire/testkit';

/**
 * kill: SIGKILL, started again after `forMs`. pause: SIGSTOP for `forMs`, then SIGCONT. stop: SIGTERM, which drains, and
 * started again after `forMs`.
 */
export type Fault = 'kill' | 'pause' | 'stop';

export interface Step {
  /** Since the schedule began, milliseconds. */
  readonly atMs: number;
  readonly fault: Fault;
  /** Which routers, from 0. */
  readonly routers: readonly number[];
  readonly forMs: number;
}

export interface ScheduleOptions {
  readonly routers: number;
  /** TTL of a lease: most pauses are longer. */
  readonly leaseMs: number;
  /** How long one that is back is left alone, at least and at most. Default 2 to 10 seconds. */
  readonly calmMs?: readonly [number, number];
}

/** A process that was started needs about so long until it routes. */
const START_MS = 4000;
/** How long no router may be at work by plan; after it the leases of the dead still take their time to lapse. */
const ALL_AWAY_MS = 2000;

/**
 * Steps without end, in the order of time. A router is in one step at a time; one that is back is left alone for a
 * while. Now and then the last ones at work are hit as well, for two seconds at most.
 */
export function* schedule(random: Random, o: ScheduleOptions): Generator<Step, never> {
  const between = (least: number, most: number) => least + random(most - least);
  const calmMs = o.calmMs ?? CALM_MS;
  const backAt: number[] = Array.from({ length: o.routers }, () => 0);
  const freeAt = backAt.map(() => between(1000, 4000));
  for (let nowMs = 0; ; nowMs += between(300, 900)) {
    const several = SEVERAL[random(SEVERAL.length)]!;
    nowMs = Math.max(nowMs, several === ALL ? Math.max(...freeAt) : Math.min(...freeAt));
    const free = shuffled(
      random,
      [...freeAt.keys()].filter((router) => freeAt[router]! <= nowMs),
    );
    const routers = free.slice(0, several);
    const fault = FAULTS[random(FAULTS.length)]!;
    const atWork = backAt.some((backMs, router) => backMs <= nowMs && !routers.includes(router));
    const forMs = atWork ? lasting(fault, o.leaseMs, between) : between(200, ALL_AWAY_MS);
    const backMs = nowMs + forMs + (fault === 'pause' ? 0 : START_MS);
    for (const router of routers) {
      backAt[router] = backMs;
      freeAt[router] = backMs + between(...calmMs);
    }
    yield { atMs: nowMs, fault, routers, forMs };
  }
}

const CALM_MS = [2000, 10_000] as const;
/** How many at once, as far as there are so many; all of them are waited for. */
const ALL = Number.POSITIVE_INFINITY;
const SEVERAL = [...Array<number>(12).fill(1), 2, 2, 2, 3, 3, ALL];
const FAULTS: readonly Fault[] = ['kill', 'kill', 'kill', 'pause', 'pause', 'pause', 'stop', 'stop'];

function lasting(fault: Fault, leaseMs: number, between: (least: number, most: number) => number): number {
  if (fault === 'kill') return between(100, 4000);
  if (fault === 'stop') return between(0, 2000);
  // One of four ends before the lease does, around the moment where its holder stops to trust it.
  return between(0, 4) === 0 ? between(1000, leaseMs) : between(leaseMs + 500, leaseMs + 5000);
}

function shuffled<T>(random: Random, items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random(i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}

/** For a person: `12.3 s pause router router-3 for 11.0 s`. */
export function describeStep({ atMs, fault, routers, forMs }: Step, names: readonly string[]): string {
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  return `${seconds(atMs)} ${fault} ${routers.map((router) => names[router]).join(' ')} for ${seconds(forMs)}`;
}
