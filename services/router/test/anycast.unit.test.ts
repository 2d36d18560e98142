/**
 * Goal: a message for whoever can do something goes to one agent that is live, the least loaded one, never its sender;
 * bursts are spread, and the same message goes to the same agent as long as nothing has changed.
 * Method: small tables by hand, and random ones against a search of all agents.
 */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { RouteEntry } from '../src/domain/routing-table.ts';
import { RoutingTable } from '../src/domain/routing-table.ts';
import { idOf, NOW_US, nodeRoute, ORG, route } from './samples.ts';

const capabilities = ['review'];
const at = (node: string, over = {}) => ({ node, nodeName: node.slice(2), capabilities, ...over });
const from = (n: number, fromAgent = '') => ({ id: idOf(n), fromAgent });

function setup(agents: readonly RouteEntry[], ...nodes: readonly ReturnType<typeof nodeRoute>[]) {
  const table = new RoutingTable();
  for (const agent of agents) table.put(agent);
  for (const node of nodes) table.putNode(ORG, node);
  const pick = (n: number, sender = '', nowUs = NOW_US) =>
    table.anycast.pick(ORG, 'review', from(n, sender), nowUs);
  const send = (n: number, nowUs = NOW_US) => {
    const choice = pick(n, '', nowUs);
    assert.ok(choice.kind === 'route', choice.detail);
    table.anycast.sent(choice.route, nowUs);
    return choice.route.name;
  };
  return { table, pick, send };
}

function tally(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

describe('picking by capability', () => {
  it('takes the least loaded node, and spreads a burst before loads are told', () => {
    const agents = [route('busy', at('n_a')), route('idle', at('n_b'))];
    const { send } = setup(agents, nodeRoute('n_a', { load: 4 }), nodeRoute('n_b', { load: 1 }));
    assert.deepEqual(
      range(3).map((n) => send(n)),
      ['idle', 'idle', 'idle'],
    );
    assert.deepEqual(tally(range(100).map((n) => send(n + 3))), { busy: 50, idle: 50 });
  });

  it('counts what was sent only until the node tells its load, or has had the time to', () => {
    const agents = [route('one', at('n_a')), route('two', at('n_b'))];
    const { table, send } = setup(agents, nodeRoute('n_a'), nodeRoute('n_b', { load: 3 }));
    assert.deepEqual(
      range(3).map((n) => send(n)),
      ['one', 'one', 'one'],
    );
    table.putNode(ORG, nodeRoute('n_a', { load: 1 }));
    assert.equal(send(10), 'one');
    assert.equal(send(11), 'one');
    assert.deepEqual(tally([12, 13].map((n) => send(n))), { one: 1, two: 1 });
    assert.equal(send(14, NOW_US + 11_000_000), 'one');
  });

  it('shares a node out among its agents, each in turn', () => {
    const agents = range(5).map((n) => route(`r${n}`, at('n_a')));
    const { send } = setup(agents, nodeRoute('n_a'));
    assert.deepEqual(tally(range(50).map((n) => send(n))), { r0: 10, r1: 10, r2: 10, r3: 10, r4: 10 });
  });

  it('picks the same again for the same message, and others for others', () => {
    const agents = range(6).map((n) => route(`r${n}`, at(`n_${n % 3}`)));
    const nodes = range(3).map((n) => nodeRoute(`n_${n}`));
    const [one, two] = [setup(agents, ...nodes), setup(agents.toReversed(), ...nodes.toReversed())];
    const names = range(60).map((n) => {
      const [a, b] = [one.pick(n), two.pick(n)];
      assert.ok(a.kind === 'route' && b.kind === 'route');
      assert.equal(a.route.name, b.route.name);
      return a.route.name;
    });
    assert.equal(Object.keys(tally(names)).length, 6);
  });

  it('never picks the sender, nor says that there is somebody else', () => {
    const { table, pick } = setup([route('alice', at('n_a'))], nodeRoute('n_a'));
    assert.equal(pick(1).kind, 'route');
    const alone = pick(1, 'a_alice');
    assert.deepEqual(alone, { kind: 'none', detail: 'nobody but the sender can "review"' });
    table.put(route('bob', at('n_a')));
    for (const n of range(20)) {
      const choice = pick(n, 'a_alice');
      assert.equal(choice.kind === 'route' && choice.route.name, 'bob');
    }
  });

  it('says why there is none', () => {
    const agents = [
      route('far', at('n_off')),
      route('near', at('n_drain')),
      route('lost', at('n_unknown')),
      route('still', at('n_on', { suspended: true })),
      route('gone', at('n_on', { movingFrom: 'n_x' })),
    ];
    const nodes = [nodeRoute('n_off', { online: false }), nodeRoute('n_drain', { draining: true })];
    const { pick, table } = setup(agents, ...nodes, nodeRoute('n_on'));
    const { kind, detail } = pick(1);
    assert.equal(kind, 'none');
    assert.equal(
      detail,
      '5 can "review", but none is live: 2 on nodes that are offline, 1 on nodes that are draining, 2 suspended or moving',
    );
    assert.match(table.anycast.pick('o_other', 'review', from(1), NOW_US).detail, /no agent of your org/);
    table.put(route('still', at('n_on', { epoch: 2 })));
    assert.equal(pick(1).kind, 'route');
  });

  it('agrees with a search of all agents, whatever has been put, renamed, moved and removed', () => {
    const change = fc.record({
      agent: fc.integer({ min: 0, max: 9 }),
      node: fc.integer({ min: 0, max: 3 }),
      can: fc.subarray(['review', 'Build', 'not one']),
      shut: fc.constantFrom({}, {}, {}, { suspended: true }, { movingFrom: 'n_x' }),
      gone: fc.boolean(),
    });
    const node = fc.record({
      online: fc.boolean(),
      draining: fc.boolean(),
      load: fc.integer({ min: 0, max: 10 }),
    });
    const nodes = fc.array(node, { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), nodes, fc.nat(), (changes, states, n) => {
        const all = new Map<number, RouteEntry>();
        const { table } = setup([], ...states.map((state, i) => nodeRoute(`n_${i}`, state)));
        for (const [i, { agent, node: on, can, shut, gone }] of changes.entries()) {
          if (gone) {
            table.remove(ORG, `a_${agent}`);
            all.delete(agent);
            continue;
          }
          const over = { agent: `a_${agent}`, epoch: i + 1, ...at(`n_${on}`), capabilities: can, ...shut };
          const entry = route(`r${agent}`, over);
          assert.ok(table.put(entry));
          all.set(agent, entry);
        }
        for (const capability of ['review', 'build']) {
          const live = [...all.values()].filter((entry) => {
            const state = states[Number(entry.node.slice(2))]!;
            const may = !entry.suspended && !entry.moving && entry.agent !== 'a_0';
            return may && entry.capabilities.includes(capability) && state.online && !state.draining;
          });
          const least = Math.min(...live.map((entry) => states[Number(entry.node.slice(2))]!.load));
          const choice = table.anycast.pick(ORG, capability, from(n % 1000, 'a_0'), NOW_US);
          assert.equal(choice.kind === 'route', live.length > 0);
          if (choice.kind !== 'route') continue;
          assert.ok(live.includes(choice.route));
          assert.equal(states[Number(choice.route.node.slice(2))]!.load, least);
        }
      }),
      { numRuns: 500 },
    );
  });
});
