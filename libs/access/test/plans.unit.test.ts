// Goal: the plans are those that were published, and what follows from them is right at the edges.
// Method: the published table written down once more, then tables and a law.

import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { type LimitName, limitsOf, PLANS, planByName, planThatLifts, seatsOf } from '../src/index.ts';

const plan = (name: string) => planByName(name)!;

describe('plans', () => {
  it('are the published ones', () => {
    const rows = PLANS.map((found) => {
      const { workspaces, agents, nodes, members } = limitsOf(found, 2);
      return [
        found.name,
        found.priceCents,
        found.seatsMin,
        workspaces,
        agents,
        nodes,
        members,
        found.orgPolicies,
        found.ssoAddon,
        found.support,
      ];
    });
    assert.deepEqual(rows, [
      ['free', 0, 0, 1, 3, 1, 1, false, false, 'community'],
      ['pro', 2900, 1, 5, 20, 5, 5, false, false, 'priority'],
      ['team', 4900, 3, -1, 100, -1, -1, true, true, 'dedicated'],
      ['enterprise', 0, 1, -1, -1, -1, -1, true, true, 'sla'],
    ]);
  });

  it('are found by their exact names', () => {
    assert.equal(planByName('team'), PLANS[2]);
    for (const name of ['', 'Team', 'gold', 'constructor']) assert.equal(planByName(name), undefined);
  });

  it('give way to what is set for an org', () => {
    const overrides = { workspaces: 2, agents: -1, nodes: 0, members: 9 };
    assert.deepEqual(limitsOf(plan('team'), 4, overrides), overrides);
    assert.deepEqual(limitsOf(plan('free'), 1, { nodes: 7 }), {
      workspaces: 1,
      agents: 3,
      nodes: 7,
      members: 1,
    });
    assert.equal(plan('free').limits.nodes, 1);
  });

  it('bill seats', () => {
    const table: [name: string, members: number, seats: number][] = [
      ['free', 1, 0],
      ['free', 9, 0],
      ['pro', 0, 1],
      ['pro', 4, 4],
      ['team', 1, 3],
      ['team', 3, 3],
      ['team', 4, 4],
      ['enterprise', 12, 12],
    ];
    for (const [name, members, seats] of table) assert.equal(seatsOf(plan(name), members), seats);
  });

  it('lift limits, the cheapest first', () => {
    const table: [LimitName, number, Parameters<typeof planThatLifts>[2], string | undefined][] = [
      ['nodes', 0, {}, 'free'],
      ['nodes', 1, {}, 'pro'],
      ['nodes', 5, {}, 'team'],
      ['agents', 3, {}, 'pro'],
      ['agents', 20, {}, 'team'],
      ['agents', 50, {}, 'enterprise'],
      ['agents', 50, { members: 2 }, 'team'],
      ['members', 5, {}, 'team'],
      ['workspaces', 0, { above: 'pro' }, 'team'],
      ['nodes', 0, { above: 'enterprise' }, undefined],
      ['nodes', 1, { above: 'gold' }, 'pro'],
    ];
    for (const [limit, present, options, name] of table)
      assert.equal(planThatLifts(limit, present, options)?.name, name, `${limit} ${present}`);
  });

  it('never lift to what is full already', () => {
    const limit = fc.constantFrom<LimitName>('workspaces', 'agents', 'nodes', 'members');
    fc.assert(
      fc.property(limit, fc.nat(300), fc.integer({ min: 1, max: 5 }), (name, present, members) => {
        const found = planThatLifts(name, present, { members })!;
        const room = (value: number) => value === -1 || value > present;
        const rooms = PLANS.map((one) => room(limitsOf(one, members)[name]));
        assert.equal(rooms.indexOf(true), PLANS.indexOf(found));
      }),
    );
  });
});
