/**
 * Goal: what the bucket says is what the table holds, of each kind; what cannot be used changes nothing.
 * Method: changes by hand, as the watch tells them.
 */

import assert from 'node:assert/strict';
import { ChannelRoute, NodeRoute, Route } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';
import { RoutingTable } from '../src/domain/routing-table.ts';
import { applyChange } from '../src/handlers/routes-watch.ts';
import { nodeRoute, ORG } from './samples.ts';

function setup() {
  const table = new RoutingTable();
  const forgotten: string[] = [];
  const unusable: string[] = [];
  const o = {
    table,
    lookup: { forget: (_org: string, folded: string) => void forgotten.push(folded) } as never,
    log: { error: ({ key }: { key: string }) => void unusable.push(key) } as never,
  };
  const tell = (id: string, value: Uint8Array | undefined) => applyChange(o, { key: `${ORG}.${id}`, value });
  return { table, forgotten, unusable, tell };
}

const agent = (over: Partial<Route>) =>
  Route.encode(
    Route.fromPartial({ agent: 'a_1', name: 'alice', node: 'n_1', nodeName: 'one', epoch: 1, ...over }),
  ).finish();
const channel = (over: Partial<ChannelRoute>) =>
  ChannelRoute.encode(
    ChannelRoute.fromPartial({ channel: 'c_1', name: 'ops', epoch: 1, members: ['a_1'], ...over }),
  ).finish();
const node = (over: Partial<NodeRoute>) => NodeRoute.encode(nodeRoute('n_1', over)).finish();

describe('changes of the routes bucket', () => {
  it('rename agents: the old name leads nowhere, and nothing remembered of either counts', () => {
    const { table, tell, forgotten } = setup();
    tell('a_1', agent({}));
    tell('a_1', agent({ name: 'Alicia', epoch: 2 }));
    assert.deepEqual([table.find(ORG, 'alice'), table.find(ORG, 'alicia')?.agent], [undefined, 'a_1']);
    assert.deepEqual(forgotten, ['alice', 'alicia', 'alice']);
    tell('a_1', undefined);
    assert.deepEqual([table.size, forgotten.at(-1)], [0, 'alicia']);
  });

  it('tell how nodes are: load without a new epoch, an older epoch not at all', () => {
    const { table, tell } = setup();
    tell('n_1', node({ epoch: 5, load: 1 }));
    tell('n_1', node({ epoch: 5, load: 7, draining: true }));
    tell('n_1', node({ epoch: 4, online: false }));
    const { online, draining, load } = table.node(ORG, 'n_1')!;
    assert.deepEqual([online, draining, load], [true, true, 7]);
    tell('n_1', undefined);
    assert.equal(table.node(ORG, 'n_1'), undefined);
  });

  it('keep members of channels and groups, which have names of their own', () => {
    const { table, tell } = setup();
    tell('c_1', channel({}));
    tell('c_2', channel({ channel: 'c_2', group: true, members: [] }));
    assert.deepEqual(table.channel(ORG, 'OPS', 'channel')?.members, ['a_1']);
    assert.equal(table.channel(ORG, 'ops', 'group')?.channel, 'c_2');
    tell('c_1', channel({ epoch: 2, members: ['a_1', 'a_2'] }));
    assert.deepEqual(table.channel(ORG, 'ops', 'channel')?.members, ['a_1', 'a_2']);
    tell('c_1', channel({ epoch: 1, members: [] }));
    assert.equal(table.channel(ORG, 'ops', 'channel')?.members.length, 2);
    tell('c_1', channel({ epoch: 3, name: 'dev' }));
    assert.equal(table.channel(ORG, 'ops', 'channel'), undefined);
    assert.deepEqual(table.counts, { nodes: 0, channels: 2 });
    tell('c_1', undefined);
    tell('c_2', undefined);
    assert.deepEqual([table.channel(ORG, 'dev', 'channel'), table.counts.channels], [undefined, 0]);
  });

  it('leave out what cannot be used, and say so', () => {
    const { table, tell, unusable } = setup();
    tell('a_1', agent({ agent: 'a_2' }));
    tell('a_1', agent({ name: 'no name' }));
    tell('a_1', Uint8Array.of(10, 200));
    tell('n_1', NodeRoute.encode(nodeRoute('n_2')).finish());
    tell('c_1', channel({ name: '#ops' }));
    tell('x_1', agent({}));
    assert.deepEqual([table.size, table.counts], [0, { nodes: 0, channels: 0 }]);
    assert.equal(unusable.length, 6);
  });

  it('free the objects that agents of a node share with the last of them', () => {
    const { table, tell } = setup();
    tell('a_1', agent({ capabilities: ['review'] }));
    tell('a_2', agent({ agent: 'a_2', name: 'bob', capabilities: ['review'] }));
    const [one, two] = [table.agent(ORG, 'a_1')!, table.agent(ORG, 'a_2')!];
    assert.ok(one.place === two.place && one.capabilities === two.capabilities);
    assert.equal(one.place.agents.length, 2);
    tell('a_1', agent({ nodeName: 'renamed', epoch: 2 }));
    assert.deepEqual(
      [two.place.agents.length, table.agent(ORG, 'a_1')?.nodeName, two.nodeName],
      [1, 'renamed', 'one'],
    );
    assert.equal(two.subject, table.agent(ORG, 'a_1')?.subject.replace('a_1', 'a_2'));
  });
});
