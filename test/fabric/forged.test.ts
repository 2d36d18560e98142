// Goal: what becomes of a message is for its recipient's node to say: another node of the same org, with credentials of its own,
// is believed neither by history nor by the sender, and that it tried is seen.
// Method: separate processes; the third node is stopped, and the test publishes with its credentials.

import { strict as assert } from 'node:assert';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Broker, connectBroker } from '@fleetwire/broker';
import { nodeDeadSubject, receiptSubject } from '@fleetwire/contract';
import { DeadLetter, type Hop, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { nodeInboxPrefix } from '@fleetwire/identity';
import { createRpcClient } from '@fleetwire/rpc';
import { type Agent, connect } from '@fleetwire/sdk';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { fleetwireIn } from './fleetwire-in.ts';
import { type SeparateFabric, startSeparateFabric } from './separate-processes.ts';

const { CONFIRMED, EXPIRED, DEAD, RETURNED } = Stage;

describe('a node that speaks for another one', function () {
  this.timeout(120_000);
  let fabric: SeparateFabric;
  let evil: Broker;
  let self: { readonly node: string; readonly org: string };
  let fleetwire: Awaited<ReturnType<typeof fleetwireIn>>;
  const stack = new AsyncDisposableStack();

  before(async () => {
    fabric = stack.use(await startSeparateFabric({ nodes: ['left', 'right', 'evil'] }));
    fleetwire = await fleetwireIn(fabric);
    const dir = join(fabric.folder, 'nodes', 'evil');
    await eventually(() => existsSync(join(dir, 'welcome.json')), { timeoutMs: 30_000 });
    await fabric.nodes['evil']!.kill();
    self = read(dir, 'identity.json');
    const { userJwt: jwt } = read(dir, 'welcome.json');
    const seed = new TextEncoder().encode(read(dir, 'identity.json').seed);
    const inboxPrefix = nodeInboxPrefix(self.node);
    evil = await connectBroker({
      urls: [fabric.natsUrl],
      name: 'evil',
      waitMs: 5000,
      inboxPrefix,
      credentials: () => ({ jwt, seed }),
    });
    stack.defer(() => evil.close());
  });
  after(() => stack.disposeAsync());

  const read = (dir: string, file: string) => JSON.parse(readFileSync(join(dir, file), 'utf8'));

  let published = 0;
  const hops = (stage: Stage): Hop[] => [
    { stage, service: '', instance: '', atUs: Date.now() * 1000, reason: '', detail: 'forged', attempt: 0 },
  ];
  const say = async (toNode: string, messageId: string, recipient: string, stage: Stage) => {
    const receipt = {
      messageId,
      recipient,
      recipientName: 'bob',
      to: 'bob',
      stage,
      final: true,
      hops: hops(stage),
    };
    const payload = ReceiptBatch.encode(ReceiptBatch.fromPartial({ receipts: [receipt] })).finish();
    const subject = receiptSubject.build({ org: self.org, toNode, from: self.node });
    await evil.store(subject, payload, { msgId: `forged-${published++}` });
  };
  const id = (name: string) => read(join(fabric.folder, 'nodes', name), 'identity.json').node as string;
  const agentOf = (address: string, token: string, name: string): Promise<Agent> =>
    connect({ address, token, name });
  const at = (name: string, agent: string) =>
    agentOf(fabric.nodes[name]!.address, fabric.nodes[name]!.adminToken(), agent);

  /** Once the directory of the node has it. */
  const known = (agent: Agent, name: string) =>
    eventually(async () => (await agent.agents()).find((one) => one.name === name), { timeoutMs: 30_000 });

  it('is believed by nobody, and seen by who looks at the audit', async () => {
    await using alice = await at('left', 'alice');
    await using bob = await at('right', 'bob');
    const arrived = bob.messages()[Symbol.asyncIterator]();
    const sent = await alice.send('bob', 'hello');
    const first = (await arrived.next()).value!;
    const about = await known(alice, 'bob');
    const node = createRpcClient(NodeServiceDefinition, {
      address: fabric.nodes['left']!.address,
      token: () => fabric.nodes['left']!.adminToken(),
    });
    const wait = (timeoutMs: number) =>
      node.waitMessage({ id: sent.id, timeoutMs, until: CONFIRMED }, { deadlineMs: timeoutMs + 5000 });
    try {
      const waiting = wait(4000);
      for (const stage of [CONFIRMED, DEAD, EXPIRED, RETURNED])
        for (const toNode of [id('left'), self.node]) await say(toNode, sent.id, about.id, stage);
      const letter = DeadLetter.fromPartial({ decoded: false, reason: 'QUEUE_OVERFLOW', hops: hops(DEAD) });
      const dead = nodeDeadSubject.build({ org: self.org, agent: about.id, node: self.node });
      await evil.store(dead, DeadLetter.encode(letter).finish(), { msgId: 'forged-letter' });
      const { receipts, done } = await waiting;
      assert.equal(done, false);
      assert.ok(
        receipts.every(
          ({ detail, hops: way }) => way.every((h) => h.detail !== 'forged') && detail !== 'forged',
        ),
      );
      const denials = await eventually(
        async () => {
          const { entries } = await fleetwire('audit', 'list', '--limit', '50');
          const found = entries.filter(
            (e: Record<string, string>) => e.actor === self.node && e.action === 'receipt',
          );
          return found.length > 0 ? found : undefined;
        },
        { timeoutMs: 20_000 },
      );
      assert.equal(denials[0].reason, 'RECEIPT_FORGED');
      const before = await fleetwire('trace', sent.id);
      assert.ok(
        before.hops.every((h: Record<string, string>) => h.detail !== 'forged'),
        JSON.stringify(before.hops),
      );
      first.ack();
      assert.equal((await wait(20_000)).done, true);
      const settled = await eventually(async () => {
        const { settlements } = await fleetwire('trace', sent.id);
        return settlements[0]?.stage === 'confirmed' ? settlements : undefined;
      });
      assert.equal(settled.length, 1);
    } finally {
      node.close();
    }
  });

  it('does not keep those who may from being believed at once, though their agent is new', async () => {
    await using alice = await at('left', 'alice2');
    for (let i = 0; i < 5; i++) {
      await using fresh = await at('right', `fresh${i}`);
      const arrived = fresh.messages()[Symbol.asyncIterator]();
      const sending = fleetwire(
        'send',
        `fresh${i}`,
        'hi',
        '--from',
        'alice2',
        '--wait',
        'confirmed',
        '--within',
        '20',
      );
      (await arrived.next()).value!.ack();
      const sent = await sending;
      assert.equal(sent.stage, 'confirmed');
      await eventually(async () => (await fleetwire('trace', sent.id)).settlements[0]?.stage === 'confirmed');
    }
    await alice.close();
  });
});
