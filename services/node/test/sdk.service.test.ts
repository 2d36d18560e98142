/**
 * Goal: the SDK and real nodes agree: mail between programs arrives once and in order, also over a killed node.
 * Method: real nodes on a real nats-server with the small hub; clients of the SDK in this process.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Agent, connect, Stage } from '@fleetwire/sdk';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { FakeHub } from './fake-hub.ts';
import { type NodeSettings, TestNode } from './test-node.ts';

describe('sdk and node', function () {
  this.timeout(60_000);
  let hub: FakeHub;
  let nodes: TestNode[];
  let agents: Agent[];
  beforeEach(async () => {
    hub = await FakeHub.start();
    nodes = [];
    agents = [];
  });
  afterEach(async () => {
    await Promise.all(agents.map((agent) => agent.close()));
    for (const node of nodes) await node.dispose();
    await hub.stop();
  });

  function make(name: string, settings: NodeSettings = {}): TestNode {
    const node = new TestNode(hub, name, settings);
    nodes.push(node);
    return node;
  }
  async function attach(node: TestNode, name: string, receipts = false, connectMs?: number): Promise<Agent> {
    const file = join(node.folder.path, 'node.json');
    const address = (): string => JSON.parse(readFileSync(file, 'utf8')).address;
    const token = readFileSync(join(node.folder.path, 'admin-token'), 'utf8').trim();
    const agent = await connect({ address, token, name, receipts, connectMs });
    agents.push(agent);
    return agent;
  }
  function collect(agent: Agent): string[] {
    const seen: string[] = [];
    void (async () => {
      for await (const message of agent.messages()) seen.push(message.text);
    })();
    return seen;
  }
  const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => String(from + i));

  it('asks and answers between nodes, with a confirmed receipt', async () => {
    const left = await make('left').start();
    const right = await make('right').start();
    const alice = await attach(left, 'alice', true);
    const bob = await attach(right, 'bob');
    void (async () => {
      for await (const message of bob.messages()) await bob.reply(message, `re: ${message.text}`);
    })();
    const answer = await alice.ask('bob', 'why?');
    assert.equal(answer.text, 're: why?');
    for await (const receipt of alice.receipts())
      if (receipt.final) {
        assert.equal(receipt.stage, Stage.CONFIRMED);
        break;
      }
  });

  it('carries on over a killed node, with nothing lost, doubled or out of order', async () => {
    const node = await make('left').spawn();
    const bob = await attach(node, 'bob');
    const alice = await attach(node, 'alice');
    const seen = collect(bob);
    let sent = 0;
    let sending: Promise<unknown> = Promise.resolve();
    for (let round = 0; round < 2; round++) {
      sending = Promise.all([sending, ...numbers(300, sent).map((body) => alice.send('bob', body))]);
      sent += 300;
      await eventually(() => seen.length > sent - 250);
      await node.kill();
      await node.spawn();
    }
    await sending;
    await eventually(() => seen.length >= sent, { timeoutMs: 30_000 });
    assert.deepEqual(seen, numbers(sent));
  });

  it('says at once that a name is taken, by whom, and which one is free', async () => {
    const left = await make('left').start();
    const right = await make('right').start();
    await attach(left, 'Bob');
    await assert.rejects(attach(right, 'bOb'), {
      kind: 'already_exists',
      reason: 'NAME_TAKEN',
      help: 'Choose another name; bOb-2 is free.',
      details: { held_by_node_name: 'left', suggestion: 'bOb-2' },
    });
  });

  it('says what the node answered when it could not connect in time', async () => {
    const node = await make('left', { sessions: '1' }).start();
    await attach(node, 'alice');
    await assert.rejects(attach(node, 'bob', false, 3000), { reason: 'TOO_MANY_SESSIONS' });
  });

  it('hands over thousands of messages on one node', async () => {
    // Mail of one node that finds the recipient's queue full goes back at once: room for all of it.
    const node = await make('left', { queue_messages: '20000' }).start();
    const bob = await attach(node, 'bob');
    const alice = await attach(node, 'alice');
    const count = 10_000;
    const seen = collect(bob);
    const started = performance.now();
    const results = await alice.sendMany(numbers(count).map((body) => ({ to: 'bob', body })));
    assert.equal(results.filter((r) => r.error !== undefined).length, 0);
    await eventually(() => seen.length >= count, { timeoutMs: 30_000 });
    console.log(`      ${Math.round((count / (performance.now() - started)) * 1000)}/s`);
    assert.deepEqual(seen, numbers(count));
  });
});
