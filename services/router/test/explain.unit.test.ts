/**
 * Goal: Explain gives the routing decision itself, to those who may know it.
 * Method: the handler on a table in memory and a registry in the hands of the test.
 */

import assert from 'node:assert/strict';
import type { Caller } from '@fleetwire/identity';
import { systemClock } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import type { KnownName } from '../src/domain/resolve.ts';
import type { RoutingTable } from '../src/domain/routing-table.ts';
import { explain } from '../src/handlers/explain.ts';
import { nodeRoute, ORG, route, suggestionsOf, tableOf } from './samples.ts';

const user: Caller = { kind: 'user', subject: 'u_1', org: ORG, scopes: [], key: '', issuedAtMs: 0 };
const service: Caller = { ...user, kind: 'service', subject: 'org', org: '', scopes: ['service'] };

function ask(
  to: string,
  o: { org?: string; caller?: Caller; registry?: KnownName; table?: RoutingTable; from?: string } = {},
) {
  const names = { table: o.table ?? tableOf('alice'), known: () => undefined };
  const lookup = {
    find: (_question: unknown, done: (known: KnownName) => void) => done(o.registry ?? { route: undefined }),
  };
  const handle = explain({
    names,
    lookup: lookup as never,
    suggest: suggestionsOf(names.table),
    clock: systemClock,
  });
  return handle({ org: o.org ?? '', to, from: o.from ?? '' }, { caller: o.caller ?? user });
}

describe('Explain', () => {
  it('names the inbox that a message would go to', async () => {
    const found = await ask('Alice@laptop');
    assert.deepEqual([found.routable, found.agent, found.subject], [true, 'a_alice', route('alice').subject]);
  });

  it('says why there is none, with what may have been meant', async () => {
    const unknown = await ask('alcie');
    assert.deepEqual(
      [unknown.routable, unknown.reason, unknown.suggestions],
      [false, 'UNKNOWN_AGENT', ['alice']],
    );
    assert.equal((await ask('a b')).reason, 'INVALID_ADDRESS');
  });

  it('asks registry where the table does not know', async () => {
    const found = await ask('late', { registry: { route: route('late') } });
    assert.equal(found.agent, 'a_late');
  });

  it('tells how the node is', async () => {
    const table = tableOf('alice');
    const status = async () => (await ask('alice', { table })).nodeStatus;
    assert.equal(await status(), '');
    for (const [over, expected] of [
      [{}, 'online'],
      [{ draining: true }, 'draining'],
      [{ draining: true, online: false }, 'offline'],
    ] as const) {
      table.putNode(ORG, nodeRoute('n_laptop', over));
      assert.equal(await status(), expected);
    }
  });

  it('names the one that would be picked by capability, and why, or why there is none', async () => {
    const table = tableOf('alice');
    assert.equal((await ask('?review', { table })).reason, 'NO_CAPABLE_AGENT');
    table.put(route('bob', { capabilities: ['review'] }));
    const away = await ask('?review', { table });
    assert.deepEqual([away.routable, away.reason], [false, 'NO_CAPABLE_AGENT']);
    assert.match(away.detail, /1 on nodes that are offline/);
    table.putNode(ORG, nodeRoute('n_laptop', { load: 3 }));
    for (let i = 0; i < 3; i++) {
      const found = await ask('?Review', { table });
      assert.deepEqual([found.routable, found.agent, found.nodeStatus], [true, 'a_bob', 'online']);
      assert.equal(found.detail, 'one of 1 live that can "review": bob on laptop, load 3');
    }
  });

  it('names who is suspended, though nothing goes there', async () => {
    const table = tableOf();
    table.put(route('bob', { suspended: true }));
    const found = await ask('bob', { table });
    assert.deepEqual(
      [found.routable, found.agent, found.subject, found.reason],
      [false, 'a_bob', '', 'AGENT_SUSPENDED'],
    );
  });

  it('names the nodes of a message to many, largest first, without its sender', async () => {
    const table = tableOf('alice', 'bob', 'dave');
    table.put(route('carol', { node: 'n_tower', nodeName: 'tower' }));
    table.putNode(ORG, nodeRoute('n_tower', { online: false }));
    const found = await ask('*', { table });
    assert.deepEqual([found.routable, found.recipients, found.agent, found.subject], [true, 4, '', '']);
    assert.equal(found.detail, '4 recipients on 2 nodes');
    assert.deepEqual(
      found.nodes.map(({ nodeName, recipients, nodeStatus }) => [nodeName, recipients, nodeStatus]),
      [
        ['laptop', 3, ''],
        ['tower', 1, 'offline'],
      ],
    );
    assert.match(found.nodes[0]!.subject, /\.n_laptop\._many$/);
    assert.equal((await ask('*', { table, from: 'Bob' })).recipients, 3);
    assert.equal((await ask('alice', { table, from: 'bob' })).recipients, 1);
    const alone = await ask('*@tower', { table, from: 'carol' });
    assert.deepEqual([alone.routable, alone.reason], [false, 'NO_RECIPIENTS']);
    await assert.rejects(ask('*', { table, from: 'nobody' }), { reason: 'UNKNOWN_AGENT' });
  });

  it('suggests channels and nodes', async () => {
    const table = tableOf('alice');
    table.putChannel(ORG, { channel: 'c_1', name: 'ops', epoch: 1, group: false, members: [] });
    const found = await ask('#opps', { table });
    assert.deepEqual([found.reason, found.suggestions], ['UNKNOWN_CHANNEL', ['#ops']]);
  });

  it('tells nobody but services about another org', async () => {
    await assert.rejects(ask('alice', { org: 'o_other' }), { reason: 'NOT_YOUR_ORG' });
    await assert.rejects(ask('alice', { caller: service }), { reason: 'ORG_REQUIRED' });
    assert.equal((await ask('alice', { org: ORG, caller: service })).routable, true);
  });
});
