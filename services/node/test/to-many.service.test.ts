/**
 * Goal: agents of one node get at once what is sent to many, with and without the hub, and routers learn that they need not
 * serve them again; the policies of the org hold at the door, also while the hub is away.
 * Method: a real node and the small hub, programs over their real interface.
 */

import assert from 'node:assert/strict';
import { filters } from '@fleetwire/contract';
import { Envelope, IngressPack, Stage } from '@fleetwire/gen/message';
import { SyncResponse } from '@fleetwire/gen/registry';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { outgoing, refusalOf } from './engine-fixture.ts';
import { FakeHub, TEST_ORG } from './fake-hub.ts';
import { limited, onlyTo, orgState } from './org-knowledge.ts';
import { type NodeClient, TestNode, TestSession } from './test-node.ts';

/** What a node does whose hub is not there. */
const AWAY = { nats_url: 'nats://127.0.0.1:1' };

describe('many recipients and policies on one node', function () {
  this.timeout(60_000);
  let hub: FakeHub;
  let node: TestNode;
  const sent: Envelope[] = [];
  beforeEach(async () => {
    hub = await FakeHub.start();
    sent.length = 0;
    hub.broker.subscribe(filters.allIngress, ({ data }) => {
      sent.push(...IngressPack.decode(data).envelopes.map((encoded) => Envelope.decode(encoded)));
    });
    node = new TestNode(hub, 'left', { heartbeat_ms: '50' });
    await (await node.start()).active();
  });
  afterEach(async () => {
    await node.dispose();
    await hub.stop();
  });

  const attach = async (...names: string[]) => {
    const client = node.client();
    return Promise.all(names.map((name) => TestSession.open(client, { name })));
  };
  const send = (client: NodeClient, from: string, to: string) =>
    client.send({ from, message: outgoing(to, to) });
  const cutOff = async () => {
    await node.stop();
    await hub.stopRegistry();
    await node.start(AWAY);
  };

  /** A channel with these agents, as the hub tells of it. */
  async function channel(name: string, members: readonly string[]): Promise<void> {
    const ids = members.map((member) => hub.agents.get(member)!.id);
    const channels = [{ channel: 'c_1', name, members: ids }];
    hub.sync = () => SyncResponse.fromPartial({ full: true, revision: 7, channels });
    hub.syncRevision = 7;
    await eventually(async () => (await node.client().directory({})).channels.length === 1);
  }

  it('serves the members of a channel and everybody, says so to routers, and keeps each receipt', async () => {
    const [alice, bob, carol] = (await attach('alice', 'bob', 'carol')) as [
      TestSession,
      TestSession,
      TestSession,
    ];
    await channel('Ops', ['alice', 'bob']);
    alice.send('#ops', ['to the channel']);
    alice.send('*', ['to all']);
    alice.send('bob', ['to one']);
    await eventually(() => bob.texts().length === 3 && carol.texts().length === 1);
    assert.deepEqual(bob.texts(), ['to the channel', 'to all', 'to one']);
    assert.deepEqual(carol.texts(), ['to all']);
    assert.deepEqual(alice.texts(), [], 'no echo');
    await eventually(() => sent.length === 3);
    assert.deepEqual(
      sent.map(({ to, local, localServed }) => [to, local, localServed]),
      [
        ['#ops', false, true],
        ['*', false, true],
        ['bob', true, false],
      ],
    );
    const client = node.client();
    await eventually(async () => {
      const { receipts } = await client.waitMessage({ id: sent[1]!.id, timeoutMs: 0 });
      const confirmed = receipts.filter(({ stage }) => stage === Stage.CONFIRMED);
      return (
        confirmed
          .map((one) => one.recipientName)
          .toSorted()
          .join() === 'bob,carol'
      );
    });
  });

  it('serves them without the hub too, while the rest waits for it', async () => {
    await attach('alice', 'bob');
    await channel('ops', ['bob', 'alice']);
    await cutOff();
    const [alice, bob] = (await attach('alice', 'bob')) as [TestSession, TestSession];
    alice.send('#ops', ['hello']);
    alice.send('*@left', ['here']);
    alice.send('#nobody-knows', ['far']);
    await eventually(() => bob.texts().length === 2);
    assert.deepEqual(bob.texts(), ['hello', 'here']);
    await eventually(() => alice.accepted.size === 3);
    // Nobody elsewhere is meant, so that one is over.
    const id = [...alice.accepted.values()][1]!;
    assert.equal((await node.client().waitMessage({ id, timeoutMs: 20_000 })).final, true);
    assert.equal((await node.client().nodeStatus({})).outboxDepth, 3);
    await node.stop();
    await hub.startRegistry();
    await (await node.start()).active();
    await eventually(() => sent.length === 3);
    assert.deepEqual(
      sent.map(({ to, local, localServed }) => [to, local, localServed]),
      [
        ['#ops', false, true],
        ['*@left', true, true],
        ['#nobody-knows', false, false],
      ],
    );
  });

  it('refuses what the policies deny from the moment it hears of them, also after a restart without the hub', async () => {
    await attach('alice', 'bob', 'carol');
    const client = node.client();
    await send(client, 'alice', 'carol');
    hub.policies = orgState(5, [onlyTo('alice', 'bob')], TEST_ORG);
    hub.news = { accessVersion: 5 };
    const denied = async (by: NodeClient, to: string) =>
      (await refusalOf(() => send(by, 'alice', to))).reason;
    await eventually(async () => {
      await send(client, 'alice', 'bob');
      const refused = await send(client, 'alice', 'carol').catch((error) => error);
      return refused.reason === 'MESSAGE_DENIED' && refused.details.policy === 'Talk';
    });
    assert.equal(await denied(client, 'far'), 'MESSAGE_DENIED');
    await send(client, 'bob', 'carol');
    await eventually(() =>
      hub.beats.some(({ denials }) => denials.some(({ targetName }) => targetName === 'far')),
    );
    // Told once: later heartbeats have none.
    await eventually(() => hub.beats.at(-1)!.denials.length === 0);
    await cutOff();
    assert.equal(await denied(node.client(), 'carol'), 'MESSAGE_DENIED');
    await send(node.client(), 'alice', 'bob');
  });

  it('keeps a sender to its rate, on a stream and by calls, and tells how long to wait', async () => {
    hub.policies = orgState(5, [limited('alice', 12)], TEST_ORG);
    hub.news = { accessVersion: 5 };
    const [alice] = (await attach('alice', 'bob')) as [TestSession];
    const client = node.client();
    let refused: { reason?: string; retryAfterMs?: number } = {};
    await eventually(async () => {
      refused = await send(client, 'alice', 'bob').catch((error) => error);
      return refused.reason !== undefined;
    });
    assert.equal(refused.reason, 'RATE_LIMITED');
    assert.ok(refused.retryAfterMs! > 0 && refused.retryAfterMs! <= 5000);
    const [ref] = alice.send('bob', ['x', 'y']) as [number];
    await eventually(() => alice.refused.size > 0);
    assert.equal([...alice.refused.values()][0], 'RATE_LIMITED');
    assert.ok(alice.refused.has(ref) || alice.accepted.has(ref));
    await send(client, 'bob', 'alice');
  });
});
