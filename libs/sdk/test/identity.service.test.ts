// Goal: an agent says what it is, stays the same one whatever it is called, and does not undo its removal.
// Method: a fake node on real gRPC that keeps what it was told.

import { strict as assert } from 'node:assert';
import { NodeRoute, Route } from '@fleetwire/gen/message';
import type { DirectoryResponse } from '@fleetwire/gen/node';
import { newMessageId } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { bytes, FakeNode } from './fake-node.ts';

describe('an agent of the sdk', () => {
  let node: FakeNode;
  beforeEach(async () => {
    node = await new FakeNode().start();
  });
  afterEach(() => node.end());

  it('does not come back by itself once its agent was removed', async () => {
    const agent = await node.attach('alice');
    const reading = agent.messages().next();
    node.goodbye = 'AGENT_REMOVED';
    node.box('alice').wake();
    await reading;
    assert.equal(agent.endedBy?.reason, 'AGENT_REMOVED');
    await assert.rejects(agent.send('bob', 'x'), { reason: 'AGENT_REMOVED' });
    assert.equal(node.hellos, 1);
  });

  it('tells what the agent says of itself, again in each session', async () => {
    const profile = { model: 'm-1', capabilities: ['review'], tools: [], movable: true };
    await node.attach('alice', { profile, takeOver: true });
    const told = () => {
      const { profile, takeOver } = node.lastHello!;
      return [profile?.model, profile?.capabilities, profile?.tools, profile?.movable, takeOver];
    };
    const expected = ['m-1', ['review'], { tools: [] }, true, true];
    assert.deepEqual(told(), expected);
    await node.kill();
    await node.start();
    await eventually(() => node.hellos === 2);
    assert.deepEqual(told(), expected);
    await node.attach('bob');
    assert.equal(node.lastHello!.profile, undefined);
  });

  it('finds agents by what they can do, over all pages', async () => {
    const node1 = { node: 'n_1', online: true };
    const route = (agent: string, capabilities: string[], more: Partial<Route> = {}) =>
      Route.fromPartial({ agent, name: agent.slice(2), node: 'n_1', nodeName: 'one', capabilities, ...more });
    const pages: Record<string, Partial<DirectoryResponse>> = {
      '': { agents: [route('a_1', ['review']), route('a_2', [])], nextPageToken: 'a_2' },
      a_2: {
        agents: [
          route('a_3', ['review', 'gpu'], { suspended: true }),
          route('a_4', ['review'], { node: 'n_2' }),
        ],
        nodes: [NodeRoute.fromPartial(node1), NodeRoute.fromPartial({ node: 'n_2' })],
      },
    };
    node.directory = (token) => pages[token]!;
    const agent = await node.attach('alice');
    const shown = (await agent.agents({ capability: 'Review' })).map(({ name, online }) => [name, online]);
    assert.deepEqual(shown, [
      ['1', true],
      ['3', false],
      ['4', false],
    ]);
    assert.equal((await agent.agents()).length, 4);
  });

  it('stays the same agent when the hub knows it by another id, and shows nothing twice', async () => {
    const agent = await node.attach('alice');
    const seen: string[] = [];
    void (async () => {
      for await (const message of agent.messages({ autoAck: false })) seen.push(message.text);
    })().catch(() => undefined);
    node.deliver('alice', { id: newMessageId(), body: bytes('one') });
    node.deliver('alice', { id: newMessageId(), body: bytes('two') });
    await eventually(() => seen.length === 2);
    node.agentId = 'a_other';
    await node.kill();
    await node.start();
    await eventually(() => node.hellos === 2 && agent.connected);
    assert.deepEqual([agent.id, node.lastHello!.localId], ['a_other', 'l_alice']);
    node.deliver('alice', { id: newMessageId(), body: bytes('three') });
    await eventually(() => seen.includes('three'));
    assert.deepEqual(seen, ['one', 'two', 'three']);
  });
});
