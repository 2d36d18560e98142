/** What came of a run, and a line that says it. */

import type { Faults } from './faults.ts';
import type { Finding } from './reconcile.ts';

export interface ChaosOutcome {
  readonly findings: readonly Finding[];
  readonly accepted: number;
  readonly received: number;
  /** Messages that routers published again, under another dedupe id; packs under the same. */
  readonly repeated: number;
  readonly deduped: number;
  /** Times that a router took a partition over, the first ones included. */
  readonly takeOvers: number;
  /** Publishes that were refused as a busy server does. */
  readonly busy: number;
  readonly faults: Faults['counts'];
  readonly refused: Readonly<Record<string, number>>;
  /** Messages of each stage in history. */
  readonly stages: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** One line for people. */
export function lineOf(seed: number, o: ChaosOutcome): string {
  const of = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .map(([name, count]) => `${count} ${name}`)
      .join(', ');
  const { accepted, received, repeated, deduped, busy, takeOvers, stages, faults, refused } = o;
  const parts = [
    `${accepted} accepted, ${received} received`,
    `published again: ${repeated} messages, ${deduped} packs with their old id; ${busy} refused as busy`,
    `${takeOvers} take-overs after ${of(faults)}`,
    `ends: ${of(stages)}`,
    ...(Object.keys(refused).length > 0 ? [`sends refused: ${of(refused)}`] : []),
  ];
  return `seed ${seed}: ${o.findings.length === 0 ? 'ok' : 'RED'} in ${o.seconds} s; ${parts.join('; ')}`;
}
