/**
 * Goal: a trace reads as a way that goes forward, with each step where it took place, and says where clocks do not agree.
 * Method: traces as delivery gives them, drawn.
 */

import assert from 'node:assert/strict';
import { TraceMessageResponse } from '@fleetwire/gen/delivery';
import { Stage } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';
import { traceDocument } from '../src/trace-document.ts';
import { waterfall } from '../src/waterfall.ts';

const hop = (stage: Stage, service: string, atUs: number, sincePreviousUs: number, more: object = {}) => ({
  recipient: stage === Stage.ACCEPTED ? '' : 'a_1',
  hop: { stage, service, instance: service === 'node' ? 'n_1' : `${service}-1`, atUs, ...more },
  sincePreviousUs,
});

const traceOf = (...hops: object[]) =>
  TraceMessageResponse.fromPartial({
    message: { id: 'm', fromName: 'alice', to: 'bob', correlationId: 'm' },
    hops: hops.map((one, i) => ({ sequence: i + 1, ...one })),
    nodeNames: { n_1: 'laptop' },
  });

describe('a waterfall', () => {
  it('draws a hop whose clock is behind where it must have been, and says so', () => {
    const held = { ...hop(Stage.HELD, 'node', 1000, 0), clockBehindUs: 9000 };
    const trace = traceOf(
      hop(Stage.ACCEPTED, 'node', 10_000, 0),
      held,
      hop(Stage.CONFIRMED, 'node', 42_000, 32_000),
    );
    const lines = waterfall(trace).slice(3);
    assert.match(lines[0]!, /accepted {4}node laptop .*\+0\.00 ms {2}\|o {32}\|$/);
    assert.match(lines[1]!, /held .* ~0\.00 ms {2}\|o {32}\| \(its clock says 9\.00 ms earlier\)$/);
    assert.match(lines[2]!, /confirmed .*\+32\.00 ms {2}\|={32}o\|$/);
    const { hops } = traceDocument(trace) as { hops: Record<string, unknown>[] };
    assert.deepEqual(
      hops.map((one) => [one['since_previous_ms'], one['clock_behind_ms'], one['node_name']]),
      [
        [0, undefined, 'laptop'],
        [0, 9, 'laptop'],
        [32, undefined, 'laptop'],
      ],
    );
  });

  it('shows where the next attempt begins', () => {
    const lines = waterfall(
      traceOf(
        hop(Stage.ACCEPTED, 'node', 0, 0),
        hop(Stage.DEAD, 'router', 10, 10, { reason: 'UNKNOWN_AGENT' }),
        hop(Stage.ACCEPTED, 'delivery', 20, 10, { attempt: 1 }),
        hop(Stage.CONFIRMED, 'node', 30, 10, { attempt: 1 }),
      ),
    );
    assert.equal(
      lines.findIndex((line) => line.trim() === 'attempt 1'),
      5,
    );
    assert.equal(lines.filter((line) => line.includes('attempt')).length, 1);
  });
});
