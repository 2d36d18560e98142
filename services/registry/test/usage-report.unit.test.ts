/** Goal: what orgs have is told when it has changed, and once a day. Method: totals and a clock of the test's own. */

import assert from 'node:assert/strict';
import type { Broker } from '@fleetwire/broker';
import { Event } from '@fleetwire/gen/event';
import { describe, it } from 'mocha';
import { UsageReport } from '../src/handlers/usage-report.ts';
import type { OrgTotals } from '../src/store/orgs.ts';

const MIDNIGHT_US = Date.UTC(2026, 8, 21) * 1000;
const never = new AbortController().signal;

function reporting() {
  const told: string[] = [];
  const world = { totals: [] as OrgTotals[], nowUs: MIDNIGHT_US, away: '' };
  const publish: Broker['store'] = async (subject, payload, { msgId }) => {
    const { id, org, usage } = Event.decode(payload);
    assert.deepEqual([id, subject], [msgId, `fw.v1.event.${org}.registry.usage`]);
    if (world.away === org) throw new Error('away');
    told.push(`${org} ${usage!.day} ${usage!.nodes} ${usage!.agents}`);
    return { sequence: 1, duplicate: false };
  };
  const clock = { nowUs: () => world.nowUs, monotonicMs: () => 0 };
  const report = new UsageReport({ orgs: { totals: async () => world.totals }, publish, clock });
  const run = async () => {
    await report.run(never);
    return told.splice(0);
  };
  return { world, run };
}

describe('what orgs have', () => {
  it('is told once until it changes or another day begins', async () => {
    const { world, run } = reporting();
    world.totals = [
      { org: 'o_1', nodes: 1, agents: 2 },
      { org: 'o_2', nodes: 3, agents: 4 },
    ];
    assert.deepEqual(await run(), ['o_1 2026-09-21 1 2', 'o_2 2026-09-21 3 4']);
    assert.deepEqual(await run(), []);
    world.totals = [
      { org: 'o_1', nodes: 1, agents: 2 },
      { org: 'o_2', nodes: 3, agents: 3 },
    ];
    assert.deepEqual(await run(), ['o_2 2026-09-21 3 3']);
    world.nowUs += 86_400_000_000;
    assert.deepEqual(await run(), ['o_1 2026-09-22 1 2', 'o_2 2026-09-22 3 3']);
  });

  it('is told again when it could not be told, and when an org comes back to what it had', async () => {
    const { world, run } = reporting();
    const totals = [{ org: 'o_1', nodes: 1, agents: 1 }];
    world.totals = totals;
    world.away = 'o_1';
    await assert.rejects(run());
    world.away = '';
    assert.deepEqual(await run(), ['o_1 2026-09-21 1 1']);
    world.totals = [];
    assert.deepEqual(await run(), []);
    world.totals = totals;
    assert.deepEqual(await run(), ['o_1 2026-09-21 1 1']);
  });
});
