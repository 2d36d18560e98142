// Goal: permissions do not cover reply subjects; what an answer can do on somebody else's subject is nothing, or nothing
// that can be read as more than a reason to ask.
// Method: each request that a user may make, with each reply subject that would do harm, on a real server.
// FLEETWIRE_NATS_SERVER names the server's binary.

import { strict as assert } from 'node:assert';
import {
  DELIVERY_DEAD,
  deadSubject,
  eventSubject,
  filters,
  heartbeatSubject,
  inboxSubject,
  ingressSubject,
  nodeConsumer,
  partitionOf,
  peerSubject,
  receiptSubject,
  streamSpecs,
} from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { HeartbeatReply, InboxEntry, PeerFrame, ReceiptBatch } from '@fleetwire/gen/message';
import { eventually } from '@fleetwire/testkit';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { nodeInboxPrefix } from '../src/index.ts';
import { pullOfNode } from '../src/jetstream-subjects.ts';
import type { FabricFixture } from './fabric-fixture.ts';
import { makeConsumer, makeNodeConsumers, startFabric } from './fabric-fixture.ts';

const ONE = JSON.stringify({ batch: 1, no_wait: true });
/** As much of its sender's text as an answer to a heartbeat can have. */
const TALKATIVE = encode(
  HeartbeatReply,
  HeartbeatReply.fromPartial({
    brokerTimeUs: 1_800_000_000_000_000,
    userJwt: 'moved',
    known: true,
    orgStatus: 'moved',
    trustDigest: 'moved',
    refused: 'moved',
    contender: 'moved',
    syncRevision: 1,
    moving: [{ agent: 'a_x', epoch: 1 }],
    revocations: [{ kind: 'user', subject: 'u_x', issuedUntilMs: 1 }],
  }),
);

describe('reply subjects at the broker', () => {
  let fabric: FabricFixture;
  let all: NatsConnection;
  let one: string;
  let two: string;
  let clients: Awaited<ReturnType<FabricFixture['three']>>;

  before(async () => {
    fabric = await startFabric();
    [one, two] = fabric.orgs;
    all = await fabric.fabricUser();
    await makeNodeConsumers(all, fabric.orgs);
    await makeConsumer(all, DELIVERY_DEAD);
    all.subscribe(filters.allHeartbeats, { callback: (_, m) => void m.respond(TALKATIVE) });
    await all.flush();
  });
  after(async () => {
    await fabric?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    const manager = await jetstreamManager(all);
    for (const { name: stream } of streamSpecs()) await manager.streams.purge(stream);
    clients = await fabric.three();
  });
  afterEach(async () => {
    for (const { connection } of Object.values(clients)) await connection.close();
  });

  const inbox = (org: string, node: string) => inboxSubject.build({ shard: 0, org, node, agent: 'a_x' });

  async function settle(): Promise<void> {
    for (let round = 0; round < 4; round++) {
      for (const { connection } of Object.values(clients)) await connection.flush();
      await all.request('$JS.API.INFO', '', { timeout: 20_000 });
    }
  }

  /** Makes each kind of request that a node may, so that its answer goes to `reply`. */
  async function asAlice(reply: string): Promise<void> {
    const { connection } = clients.alice;
    const partition = partitionOf(one, 'n_alice', 8);
    const pull = pullOfNode(0, one, 'n_alice');
    connection.publish(ingressSubject.build({ org: one, node: 'n_alice', partition }), 'x', { reply });
    connection.publish(receiptSubject.build({ org: one, toNode: 'n_alice', from: 'n_alice' }), '', { reply });
    connection.publish(heartbeatSubject.build({ org: one, node: 'n_alice' }), '', { reply });
    connection.publish(pull, ONE, { reply });
    connection.publish(pull, '{ half', { reply });
    await settle();
    await jetstream(all).publish(inbox(one, 'n_alice'), '');
    connection.publish(pull, ONE, { reply });
    await settle();
  }

  for (const [name, victim] of [
    ['the same org', 'bob'],
    ['another org', 'mallory'],
  ] as const) {
    it(`acknowledge nothing of a node of ${name}, and pull nothing in its name`, async () => {
      const [org, node] = victim === 'bob' ? [one, 'n_bob'] : [two, 'n_mallory'];
      const { seq } = await jetstream(all).publish(inbox(org, node), 'waits');
      const pulled: Msg[] = [];
      const own = `${nodeInboxPrefix(node)}.pull`;
      const { connection } = clients[victim];
      connection.subscribe(own, { callback: (_, m) => void pulled.push(m) });
      connection.publish(pullOfNode(0, org, node), ONE, { reply: own });
      await eventually(() => pulled.length === 1);
      for (const reply of [pulled[0]!.reply!, pullOfNode(0, org, node)]) await asAlice(reply);
      const manager = await jetstreamManager(all);
      const { durable_name } = nodeConsumer(0, org, node);
      const info = await manager.consumers.info('INBOX', durable_name);
      assert.deepEqual(
        [info.num_ack_pending, info.num_waiting, info.ack_floor.stream_seq < seq],
        [1, 0, true],
      );
      assert.equal((await manager.streams.getMessage('INBOX', { seq }))?.string(), 'waits');
      // It is the real one that counts.
      connection.publish(pulled[0]!.reply!, '');
      await eventually(
        async () => (await manager.consumers.info('INBOX', durable_name)).num_ack_pending === 0,
      );
    });
  }

  it('of a node reach another node of its org with nothing that can be read as from a service', async () => {
    const toBob = { org: one, to: 'n_bob' };
    const subjects = {
      frame: peerSubject.build({ ...toBob, from: 'registry' }),
      busy: peerSubject.build({ ...toBob, from: 'router' }),
      receipt: receiptSubject.build({ org: one, toNode: 'n_bob', from: 'router' }),
      event: eventSubject.build({ org: one, service: 'org', name: 'tokens_revoked' }),
    };
    const heard: Msg[] = [];
    for (const filter of [
      filters.framesToNode(one, 'n_bob'),
      filters.receiptsToNode(one, 'n_bob'),
      filters.eventsOf(one, 'org'),
    ])
      clients.bob.connection.subscribe(filter, { callback: (_, message) => void heard.push(message) });
    await settle();
    for (const subject of Object.values(subjects)) await asAlice(subject);
    const under = (subject: string) => heard.filter((m) => m.subject === subject).map((m) => m.data);
    assert.ok(under(subjects.frame).length >= 4, 'answers do arrive: the test tries what it says');
    for (const data of under(subjects.frame)) {
      const { nudge, busy, ready } = read(PeerFrame, data) ?? PeerFrame.fromPartial({});
      assert.deepEqual([nudge, busy?.node ?? '', busy?.reason ?? '', ready?.node ?? ''], ['', '', '', '']);
    }
    assert.ok(under(subjects.busy).length >= 4);
    for (const data of under(subjects.busy)) assert.equal(read(PeerFrame, data)?.busy?.reason ?? '', '');
    for (const data of under(subjects.receipt))
      assert.deepEqual(read(ReceiptBatch, data)?.receipts ?? [], []);
    for (const data of under(subjects.event)) assert.deepEqual(read(Event, data)?.details ?? {}, {});
    // What was pulled comes under the subject that it was stored by.
    const others = new Set(heard.map((m) => m.subject).filter((s) => !Object.values(subjects).includes(s)));
    assert.deepEqual([...others], [inbox(one, 'n_alice')]);
  });

  it('of a service put nothing into a stream that can be read as something else than it was', async () => {
    const { connection: delivery } = await fabric.watched('delivery');
    const letter = deadSubject.build({ org: one, agent: 'a_x' });
    const forged = encode(InboxEntry, InboxEntry.fromPartial({ movedEpoch: 1 }));
    await jetstream(all).publish(letter, forged);
    const reply = inbox(one, 'n_bob');
    delivery.publish('$JS.API.STREAM.INFO.DEAD', '', { reply });
    delivery.publish(`$JS.API.CONSUMER.MSG.NEXT.DEAD.${DELIVERY_DEAD.durable_name}`, ONE, { reply });
    delivery.publish(deadSubject.build({ org: one, agent: 'a_y' }), forged, { reply });
    await delivery.flush();
    await settle();
    const manager = await jetstreamManager(all);
    const { state } = await manager.streams.info('INBOX');
    assert.equal(state.messages, 3);
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = (await manager.streams.getMessage('INBOX', { seq }))!;
      if (message.subject === reply) assert.match(message.string(), /^\{"(type|stream)":/);
      else assert.equal(message.subject, letter);
    }
  });
});

function read<T>(type: { decode(data: Uint8Array): T }, data: Uint8Array): T | undefined {
  try {
    return type.decode(data);
  } catch {
    return undefined;
  }
}
