/**
 * Goal: addresses lead to the right route or to a reason, whatever they are; the table follows its epochs.
 * Method: examples, fuzzed addresses, and random changes against a plain model of the table.
 */

import assert from 'node:assert/strict';
import { Route } from '@fleetwire/gen/message';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { resolve } from '../src/domain/resolve.ts';
import { RoutingTable, routeEntry } from '../src/domain/routing-table.ts';
import { Suggestions } from '../src/domain/suggestions.ts';
import { ORG, route, tableOf } from './samples.ts';

const nothing = () => undefined;

describe('resolve', () => {
  const table = tableOf('alice', 'Bob');
  const names = { table, known: nothing };
  const suggest = new Suggestions(table, { scan: 100, perSecond: 1_000_000 });

  it('finds a name without regard to case, with and without its node', () => {
    for (const to of ['alice', 'ALICE', 'alice@laptop', 'Alice@LAPTOP']) {
      const found = resolve(names, ORG, to);
      assert.equal(found.kind === 'route' && found.route.agent, 'a_alice', to);
    }
  });

  it('asks about a name that it does not know, and is told once', () => {
    assert.deepEqual(resolve(names, ORG, 'Carol'), { kind: 'ask', folded: 'carol' });
    const told = { table, known: () => ({ route: undefined }) };
    const found = resolve(told, ORG, 'Carol');
    assert.equal(found.kind === 'dead' && found.reason, 'UNKNOWN_AGENT');
    const carol = route('carol');
    assert.deepEqual(resolve({ table, known: () => ({ route: carol }) }, ORG, 'carol'), {
      kind: 'route',
      route: carol,
    });
  });

  it('does not find an agent on the wrong node, nor in another org', () => {
    const wrong = resolve(names, ORG, 'alice@tower');
    assert.equal(wrong.kind === 'dead' && wrong.reason, 'UNKNOWN_AGENT');
    assert.equal(resolve(names, 'o_other', 'alice').kind, 'ask');
  });

  it('finds who is suspended, and says so instead of routing', () => {
    const asleep = route('asleep', { suspended: true });
    const told = { table, known: () => ({ route: asleep }) };
    for (const [to, reason] of [
      ['asleep', 'AGENT_SUSPENDED'],
      ['Asleep@laptop', 'AGENT_SUSPENDED'],
      ['asleep@tower', 'UNKNOWN_AGENT'],
    ] as const) {
      const found = resolve(told, ORG, to);
      assert.deepEqual(found.kind === 'dead' && found.reason, reason, to);
    }
    const mine = tableOf('bob');
    mine.put(asleep);
    const found = resolve({ table: mine, known: nothing }, ORG, 'asleep');
    assert.equal(found.kind === 'dead' && found.route, asleep);
  });

  it('suggests what is near, or where it lives', () => {
    assert.deepEqual(suggest.near(ORG, 'alcie', 0), ['alice']);
    assert.deepEqual(suggest.near(ORG, 'alice@tower', 0), ['alice@laptop']);
    assert.deepEqual(suggest.near('o_other', 'alcie', 0), []);
  });

  it('searches for suggestions only so often in a second', () => {
    const few = new Suggestions(table, { scan: 100, perSecond: 2 });
    const found = [0, 10, 20, 1_000_000].map((nowUs) => few.near(ORG, 'alcie', nowUs).length);
    assert.deepEqual(found, [1, 1, 0, 1]);
  });

  it('never throws, whatever the address', () => {
    const fuzz = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 400 }),
      fc.stringMatching(/^[a-z@:#%*?_.-]{0,300}$/),
      fc.constantFrom(
        '__proto__',
        'constructor',
        '@',
        'a@',
        '@b',
        'a@b@c',
        '*',
        '#x',
        '?y',
        'a_0123456789abcdef',
      ),
    );
    fc.assert(
      fc.property(fuzz, (to) => {
        const found = resolve(names, ORG, to);
        if (found.kind === 'dead')
          assert.match(
            found.reason,
            /^(INVALID_ADDRESS|NO_CAPABLE_AGENT|NO_RECIPIENTS|UNKNOWN_(AGENT|CHANNEL|GROUP|NODE|PROJECT))$/,
          );
        if (found.kind === 'dead') suggest.near(ORG, to, 0, found.reason);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the routing table', () => {
  it('agrees with the plainest model after any changes', () => {
    const change = fc.record({
      agent: fc.constantFrom('a_1', 'a_2', 'a_3'),
      name: fc.constantFrom('x', 'X', 'y', 'z', undefined),
      epoch: fc.integer({ min: 1, max: 4 }),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const table = new RoutingTable();
        const claims = new Map<string, { folded: string; epoch: number }>();
        const lastPut = new Map<string, string>();
        for (const { agent, name, epoch } of changes) {
          if (name === undefined) {
            table.remove(ORG, agent);
            claims.delete(agent);
          } else {
            const newer = (claims.get(agent)?.epoch ?? 0) <= epoch;
            assert.equal(table.put(route(name, { agent, epoch })), newer);
            if (!newer) continue;
            claims.set(agent, { folded: name.toLowerCase(), epoch });
            lastPut.set(name.toLowerCase(), agent);
          }
        }
        assert.equal(table.size, claims.size);
        for (const [folded, agent] of lastPut) {
          const still = claims.get(agent)?.folded === folded;
          assert.equal(table.find(ORG, folded)?.agent, still ? agent : undefined);
        }
      }),
    );
  });

  it('keeps a newer epoch, frees a name that its owner gave up, and leaves a name that another has taken', () => {
    const table = new RoutingTable();
    assert.ok(table.put(route('x', { agent: 'a_1', epoch: 5 })));
    assert.ok(!table.put(route('y', { agent: 'a_1', epoch: 4 })));
    assert.equal(table.find(ORG, 'y'), undefined);
    table.put(route('y', { agent: 'a_1', epoch: 6 }));
    assert.equal(table.find(ORG, 'x'), undefined);
    table.put(route('y', { agent: 'a_2', epoch: 1 }));
    table.remove(ORG, 'a_1');
    assert.equal(table.find(ORG, 'y')?.agent, 'a_2');
    table.remove(ORG, 'a_2');
    assert.equal(table.size, 0);
  });

  it('refuses a route that no subject can hold', () => {
    const bad = Route.fromPartial({ agent: 'a.b', name: 'x', node: 'n', nodeName: 'n', epoch: 1 });
    assert.equal(routeEntry(ORG, bad), undefined);
    assert.equal(routeEntry(ORG, { ...bad, agent: 'a', name: 'no good' }), undefined);
  });
});
