/** The trace of a message: its acceptance and, recipient by recipient, every hop with the time since the one before. */

import type { TraceHop } from '@fleetwire/gen/delivery';
import type { Hop, Proof } from '@fleetwire/gen/message';
import { Stage } from '@fleetwire/gen/message';
import { compareHops, compareText } from './hops.ts';

/** What history knows of the acceptance; undefined while it has not arrived. */
export interface Acceptance {
  readonly node: string;
  readonly acceptedAtUs: number;
  /** When the broker had it in ingress. */
  readonly ingressAtUs: number;
}

export interface RecipientWay {
  readonly recipient: string;
  /** In order, as `uniteHops` gives them. */
  readonly hops: readonly Hop[];
  /** What its confirmation goes by. */
  readonly proof?: Proof | undefined;
}

/**
 * The acceptance comes once, for no recipient in particular; then the way to each recipient, in the order of the
 * ids. The time since the hop before is never negative: where clocks are a little apart, it says by how much.
 */
export function assembleTrace(acceptance: Acceptance | undefined, ways: readonly RecipientWay[]): TraceHop[] {
  const accept = acceptHop(acceptance, ways);
  const trace: TraceHop[] = [];
  const add = (recipient: string, hop: Hop, before: number | undefined, proof?: Proof) => {
    const elapsedUs = before === undefined ? 0 : hop.atUs - before;
    const [sincePreviousUs, clockBehindUs] = elapsedUs < 0 ? [0, -elapsedUs] : [elapsedUs, 0];
    trace.push({ sequence: trace.length + 1, recipient, hop, sincePreviousUs, clockBehindUs, proof });
  };
  if (accept !== undefined) add('', accept, undefined);
  for (const way of [...ways].sort((a, b) => compareText(a.recipient, b.recipient))) {
    // The latest time so far: what a clock that is behind says does not make the next step longer.
    let reachedUs = accept?.atUs;
    for (const hop of way.hops) {
      if (hop.stage === Stage.ACCEPTED && hop.attempt === 0) continue;
      const shows = hop.stage === Stage.CONFIRMED && hop.attempt === way.proof?.attempt;
      add(way.recipient, hop, reachedUs, shows ? way.proof : undefined);
      reachedUs = Math.max(reachedUs ?? hop.atUs, hop.atUs);
    }
  }
  return trace;
}

function acceptHop(acceptance: Acceptance | undefined, ways: readonly RecipientWay[]): Hop | undefined {
  if (acceptance !== undefined)
    return {
      stage: Stage.ACCEPTED,
      service: 'node',
      instance: acceptance.node,
      atUs: acceptance.acceptedAtUs,
      reason: '',
      detail: ingressDetail(acceptance),
      attempt: 0,
    };
  const told = ways.flatMap((way) =>
    way.hops.filter((hop) => hop.stage === Stage.ACCEPTED && hop.attempt === 0),
  );
  return told.sort(compareHops)[0];
}

function ingressDetail({ acceptedAtUs, ingressAtUs }: Acceptance): string {
  if (ingressAtUs === 0) return '';
  return `in ingress ${(Math.max(0, ingressAtUs - acceptedAtUs) / 1000).toFixed(1)} ms later`;
}
