/**
 * Goal: machines join once, prove who they are, get credentials that work for exactly them, and are known to be there or
 * not. Method: two replicas over gRPC, a server in operator mode, nodes with real keys and connections.
 */

import assert from 'node:assert/strict';
import { LIMITS, nodeConsumer, partitionOf } from '@fleetwire/contract';
import { createNodeKey } from '@fleetwire/identity';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import {
  allPages,
  beat,
  errorOf,
  greet,
  type RegistryWorld,
  reasonOf,
  startRegistryWorld,
} from './fixture.ts';

describe('nodes', function () {
  this.timeout(60_000);
  let world: RegistryWorld;
  let one: RunningService;
  let two: RunningService;
  before(async () => {
    world = await startRegistryWorld();
    [one, two] = await Promise.all([
      world.start({ liveness_ms: 2000, credentials_ttl_s: 3600 }),
      world.start({ liveness_ms: 2000, credentials_ttl_s: 3600 }),
    ]);
  });
  after(() => world?.[Symbol.asyncDispose]());

  it('join again with the same key and name, and not otherwise', async () => {
    const { publicKey } = createNodeKey();
    const request = { joinToken: world.orgs[0], nodeName: 'Laptop', publicKey };
    const first = await world.client(one).join(request);
    assert.deepEqual(await world.client(two).join({ ...request, nodeName: 'laptop' }), first);
    const join = (o: object) => errorOf(world.client(one).join({ ...request, ...o }));
    assert.equal((await join({ nodeName: 'desk' }))?.reason, 'NODE_ALREADY_JOINED');
    const elsewhere = await join({ joinToken: world.orgs[1] });
    assert.deepEqual([elsewhere?.reason, elsewhere?.details], ['NODE_ALREADY_JOINED', {}]);
    assert.doesNotMatch(`${elsewhere?.message} ${elsewhere?.help}`, /laptop/i);
    const taken = await join({ publicKey: createNodeKey().publicKey });
    assert.deepEqual([taken?.kind, taken?.reason], ['already_exists', 'NODE_NAME_TAKEN']);
    assert.equal(await reasonOf(world.client(one).join({ ...request, nodeName: 'a b' })), 'INVALID_NAME');
    assert.equal((await join({ publicKey: 'UNO' }))?.reason, 'INVALID_PUBLIC_KEY');
    assert.equal((await join({ joinToken: 'no' }))?.reason, 'JOIN_TOKEN_INVALID');
    assert.equal(await join({ joinToken: world.orgs[1], publicKey: createNodeKey().publicKey }), undefined);
  });

  it('of one name that join at the same moment: one does', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        reasonOf(
          world
            .client(i % 2 ? one : two)
            .join({ joinToken: world.orgs[0], nodeName: 'raced', publicKey: createNodeKey().publicKey }),
        ),
      ),
    );
    assert.deepEqual(
      outcomes.filter((reason) => reason !== 'NODE_NAME_TAKEN'),
      ['none'],
    );
  });

  it('are welcomed by any replica once they have signed what another gave them', async () => {
    const node = await world.node(one, 'greeter');
    const { nonce } = await world.client(one).challenge({ node: node.id });
    const welcome = await greet(world.client(two), node.id, node.seed, { nonce });
    assert.equal(welcome.org, world.orgs[0]);
    assert.equal(welcome.nodeName, 'greeter');
    assert.equal(welcome.partition, partitionOf(world.orgs[0], node.id, 4));
    assert.deepEqual(welcome.natsUrls, [world.nats.url]);
    assert.ok(Math.abs(welcome.brokerTimeUs / 1000 - Date.now()) < 60_000);
    const keys = JSON.parse(welcome.trust).keys.map(({ kid }: { kid: string }) => kid);
    assert.deepEqual(keys.toSorted(), ['operator', 'org', 'registry', 'router']);
    assert.ok(welcome.userJwtExpiresAtMs > Date.now() + 3_500_000);
  });

  it('are refused for a wrong signature, a strange nonce, another protocol, or when unknown', async () => {
    const node = await world.node(one, 'refused');
    const client = world.client(two);
    const reason = (o: object, id = node.id) => reasonOf(greet(client, id, node.seed, o));
    assert.equal(await reason({ signature: new Uint8Array(64) }), 'SIGNATURE_INVALID');
    assert.equal(await reason({ nonce: new Uint8Array(56) }), 'CHALLENGE_INVALID');
    const other = await client.challenge({ node: 'n_0000000000000000' });
    assert.equal(await reason({ nonce: other.nonce }), 'CHALLENGE_INVALID');
    assert.equal(await reason({ protocol: '9' }), 'PROTOCOL_UNSUPPORTED');
    for (const id of ['n_0000000000000000', 'n_\0', 'o_0000000000000000', ''])
      assert.equal(await reason({}, id), 'NODE_UNKNOWN', JSON.stringify(id));
    assert.equal(await reasonOf(greet(client, node.id, createNodeKey().seed)), 'SIGNATURE_INVALID');
  });

  it('that are refused are counted by reason, and so are joins', async () => {
    const service = await world.start();
    const client = world.client(service);
    const node = await world.node(service, 'counted');
    const { nonce } = await client.challenge({ node: node.id });
    await greet(client, node.id, node.seed, { nonce });
    for (const refused of [
      () => greet(client, node.id, node.seed, { nonce }),
      () => greet(client, node.id, createNodeKey().seed),
      () => greet(client, node.id, createNodeKey().seed),
      () => greet(client, 'n_0000000000000000', node.seed),
      () => client.join({ joinToken: 'no', nodeName: 'nobody', publicKey: createNodeKey().publicKey }),
    ])
      assert.notEqual(await reasonOf(refused()), 'none');
    const { hellos_refused: hellos, joins_refused: joins } = service.health();
    assert.deepEqual(hellos, { CHALLENGE_INVALID: 1, SIGNATURE_INVALID: 2, NODE_UNKNOWN: 1 });
    assert.deepEqual(joins, { JOIN_TOKEN_INVALID: 1 });
    await service.stop();
  });

  it('open their inbox: the consumer is made, and made anew', async () => {
    const node = await world.node(one, 'opener');
    const spec = nodeConsumer(0, world.orgs[0], node.id);
    const answers = await Promise.all([1, 2, 3].map(() => node.client.openInbox({})));
    for (const answer of answers) assert.deepEqual(answer, { stream: 'INBOX', consumer: spec.durable_name });
    const broker = await world.broker();
    await broker.consumers.verify(spec);
    assert.equal(await reasonOf((await world.asUser(one, ['admin'])).openInbox({})), 'NOT_A_NODE');
    assert.equal(await reasonOf(world.client(one).openInbox({})), 'TOKEN_MISSING');
  });

  it('send heartbeats with their own credentials and get the time and, past half-life, new credentials', async () => {
    const node = await world.node(one, 'beating');
    const fresh = await beat(world, node, 3000);
    assert.deepEqual([fresh.known, fresh.userJwt], [true, '']);
    assert.ok(Math.abs(fresh.brokerTimeUs / 1000 - Date.now()) < 60_000);
    const late = await beat(world, node, 1799);
    assert.notEqual(late.userJwt, '');
    const broker = await world.nodeBroker(node, late.userJwt);
    assert.ok(broker.maxPayload >= LIMITS.serverMaxPayload);
  });

  it('are online while they are heard of, at every replica, and offline after silence', async () => {
    const node = await world.node(one, 'living');
    await node.client.registerAgent({ name: 'resident', adapter: 'stream' });
    const readers = [await world.asUser(one, ['read']), await world.asUser(two, ['read'])];
    const states = async () => {
      const nodes = await Promise.all(readers.map((reader) => reader.listNodes({})));
      const agents = await Promise.all(readers.map((reader) => reader.lookupAgent({ name: 'resident' })));
      const found = nodes.map((page) => page.nodes.find((n) => n.id === node.id)!.status);
      return [...found, ...agents.map(({ agent }) => agent!.status)];
    };
    const beating = async () => {
      await beat(world, node);
      return (await states()).every((status) => status === 'online');
    };
    await eventually(beating);
    await eventually(async () => (await states()).every((status) => status === 'offline'));
    await eventually(beating);
  });

  it('are listed in pages, each org its own', async () => {
    const reader = await world.asUser(one, ['send']);
    const names = await allPages(
      (pageToken) => reader.listNodes({ pageSize: 2, pageToken }),
      ({ nodes }) => {
        assert.ok(nodes.length <= 2);
        return nodes.map((node) => node.name);
      },
    );
    assert.equal(new Set(names).size, names.length);
    assert.ok(names.includes('living') && names.includes('raced'));
    const { nodes } = await (await world.asUser(one, ['read'], world.orgs[1])).listNodes({});
    assert.deepEqual(
      nodes.map((node) => node.name),
      ['Laptop'],
    );
  });
});
