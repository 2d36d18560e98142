/**
 * Goal: a node that reaches JetStream by service imports alone, with exactly its own rights, can publish, pull and
 * acknowledge, sees the subjects and sequences it needs, and is told what it may not do.
 * Method: accounts in the server's configuration, as the accounts of the fabric and of one org will be.
 */

import assert from 'node:assert/strict';
import { type BrokerOptions, connectBroker } from '@fleetwire/broker';
import { ingressSubject, streamSpecs } from '@fleetwire/contract';
import { eventually, plainConfig, startTestNats } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { fill, inbox, inboxStream, NODE_CONSUMER, numbers, take, textOf } from './rig.ts';

const INGRESS = ingressSubject.build({ partition: 0, org: 'o1', node: 'n1' });
const NEXT = '$JS.API.CONSUMER.MSG.NEXT.INBOX.node-n1';

function accounts(place: { dir: string; port: number }): string {
  const services = [INGRESS, '$JS.ACK.INBOX.>'];
  const exported = services.map((s) => `{ service: "${s}" }`);
  const imported = services.map((s) => `{ service: { account: FABRIC, subject: "${s}" } }`);
  return `${plainConfig(place)}
accounts {
  SYS {}
  FABRIC {
    jetstream: enabled
    users: [{ user: fabric, password: pw }]
    exports: [${exported.join(', ')}, { service: "$JS.API.CONSUMER.MSG.NEXT.INBOX.*", response_type: stream }]
  }
  ORG {
    users: [{ user: node, password: pw, permissions: {
      publish: ["${INGRESS}", "${NEXT}", "$JS.ACK.INBOX.node-n1.>"]
      subscribe: ["_INBOX_n1.>"]
    }}]
    imports: [${imported.join(', ')}, { service: { account: FABRIC, subject: "${NEXT}" } }]
  }
}
system_account: SYS
`;
}

async function startOrg() {
  await using building = new AsyncDisposableStack();
  const nats = building.use(await startTestNats({ config: accounts }));
  const connect = async (user: string, o: Partial<BrokerOptions> = {}) => {
    const urls = [`nats://${user}:pw@127.0.0.1:${nats.port}`];
    return building.adopt(await connectBroker({ urls, name: user, ...o }), (broker) => broker.close());
  };
  const fabric = await connect('fabric');
  await fabric.streams.ensure([{ ...streamSpecs()[0]!, retention: 'limits' }, inboxStream()], 1);
  await fabric.consumers.create(NODE_CONSUMER);
  const node = await connect('node', { inboxPrefix: '_INBOX_n1' });
  const stack = building.move();
  return { fabric, node, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

describe('a node with its own rights only', () => {
  it('publishes, pulls and acknowledges', async () => {
    await using org = await startOrg();
    const { fabric, node } = org;
    assert.deepEqual(await node.store(INGRESS, Buffer.from('x'), { msgId: 'm' }), {
      sequence: 1,
      duplicate: false,
    });
    assert.equal((await node.store(INGRESS, Buffer.from('x'), { msgId: 'm' })).duplicate, true);
    await fill(fabric, 300);
    const o = { batch: 64, maxBytes: 100_000, firstDelivery: 1, heartbeatMs: 500, onDoubt: assert.fail };
    const session = node.pull('INBOX', 'node-n1', o);
    const messages = await take(session, 300);
    assert.deepEqual(messages.map(textOf), numbers(0, 300));
    assert.equal(messages[0]!.subject, inbox('a1'));
    assert.equal(messages[0]!.header('Nats-Msg-Id'), 'a1-0');
    assert.deepEqual(
      messages.map((m) => m.sequence),
      messages.map((_, i) => i + 1),
    );
    for (const message of messages) message.ack();
    await eventually(async () => (await fabric.consumers.info('INBOX', 'node-n1'))?.ackFloor === 300);
    await new Promise((resolve) => setTimeout(resolve, 1500)); // several heartbeats: nothing is in doubt
    const later = take(session, 1);
    await fill(fabric, 1, 300);
    assert.deepEqual((await later).map(textOf), ['300']);
    await session.stop();
  });

  it('is told at once what it may not publish', async () => {
    await using org = await startOrg();
    const denied = org.node.store(inbox('a1'), Buffer.from('x'), { msgId: 'm' });
    await assert.rejects(denied, { kind: 'permission_denied', reason: 'PUBLISH_DENIED' });
  });

  it('is told what it may not hear', async () => {
    await using org = await startOrg();
    const refusals: string[] = [];
    const onRefused = (error: Error) => refusals.push(error.message);
    org.node.subscribe(INGRESS, () => assert.fail(), { onRefused });
    await eventually(() => refusals.length === 1);
    assert.match(refusals[0]!, /permissions/i);
  });

  it('is in doubt when its pull is denied or its consumer is removed', async () => {
    await using org = await startOrg();
    const doubts: string[] = [];
    const o = { batch: 5, heartbeatMs: 100, onDoubt: (why: string) => doubts.push(why) };
    await assert.rejects(take(org.node.pull('INBOX', 'node-n2', { batch: 5 }), 1), {
      reason: 'PULL_REFUSED',
    });
    await take(org.node.pull('INBOX', 'node-n2', o), 1);
    assert.deepEqual(doubts, ['pulling from the consumer is not permitted']);
    const session = org.node.pull('INBOX', 'node-n1', o);
    await fill(org.fabric, 1);
    await take(session, 1);
    await org.fabric.consumers.remove('INBOX', 'node-n1');
    await take(session, 1);
    assert.equal(doubts.length, 2);
  });
});
