/** Goal: rosters take turns, and no node and no org keeps others from theirs. Method: rosters that end when told. */

import assert from 'node:assert/strict';
import { systemClock } from '@fleetwire/kernel';
import { eventually, reasonOf } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { RosterTurns } from '../src/handlers/roster-turns.ts';

const CONFIG = {
  rosters_max: 1,
  roster_wait_ms: 60_000,
  roster_burst: 40,
  roster_every_ms: 600_000,
  known_nodes_max: 100,
};

function rig(changed: Partial<typeof CONFIG> = {}) {
  const turns = new RosterTurns({ clock: systemClock, config: { ...CONFIG, ...changed } });
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const told = (org: string, id: string, agents = 1) =>
    turns.run({ org, id }, agents, () => {
      begun.push(id);
      return new Promise<void>((resolve) => ends.set(id, resolve));
    });
  const end = async (id: string) => {
    const over = await eventually(() => ends.get(id));
    ends.delete(id);
    over();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { told, begun, end };
}

describe('rosters of many nodes', () => {
  it('are taken a few at once, one of a node, and each org has its turn', async () => {
    const { told, begun, end } = rig();
    const all = ['b1', 'b2', 'b3', 'a1'].map((id) => told(`o_${id[0]}`, id));
    assert.equal(await reasonOf(told('o_b', 'b1')), 'ROSTER_UNDER_WAY');
    assert.equal(await reasonOf(told('o_b', 'b3')), 'ROSTER_UNDER_WAY', 'also while it waits');
    for (const id of ['b1', 'b2', 'a1', 'b3']) await end(id);
    await Promise.all(all);
    assert.deepEqual(begun, ['b1', 'b2', 'a1', 'b3']);
    const again = told('o_b', 'b1');
    await end('b1');
    await again;
  });

  it('wait so long and no longer, and then hold no place', async () => {
    const { told, begun, end } = rig({ roster_wait_ms: 20 });
    const first = told('o_a', 'a1');
    assert.equal(await reasonOf(told('o_b', 'b1')), 'ROSTERS_WAIT');
    await end('a1');
    await first;
    const next = told('o_b', 'b2');
    await end('b2');
    await next;
    assert.deepEqual(begun, ['a1', 'b2']);
  });

  it('cost by their size what a node may tell in time', async () => {
    const { told, end } = rig();
    for (const size of [10_000, 9_001]) {
      const one = told('o_a', 'a1', size);
      await end('a1');
      await one;
    }
    assert.equal(await reasonOf(told('o_a', 'a1', 1000)), 'ROSTER_TOO_OFTEN');
    const small = told('o_a', 'a1', 0);
    await end('a1');
    await small;
    assert.equal(await reasonOf(told('o_a', 'a1', 0)), 'ROSTER_TOO_OFTEN');
  });
});
