/**
 * Goal: a node that is removed, rotated or shut out stays out, whatever is restarted, restored or cut short, and one that is
 * adopted comes in again. Method: two replicas, a server in operator mode with real connections of nodes, its folder and
 * PostgreSQL's tables put back to what they were before.
 */

import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Broker, connectBroker } from '@fleetwire/broker';
import { deadSubject, inboxSubject, nodeConsumer, UNKNOWN_RECIPIENT } from '@fleetwire/contract';
import { DeadLetter } from '@fleetwire/gen/message';
import {
  CLAIMS_UPDATE,
  claimsLookup,
  createNodeKey,
  keyFiles,
  loadOrgKeys,
  rotationBytes,
  serviceInboxPrefix,
  signingOfOrg,
  signWithNodeKey,
} from '@fleetwire/identity';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { nodeKeys } from '../src/store/node-keys.ts';
import {
  beatAs,
  greet,
  greetAs,
  type RegistryClient,
  type RegistryWorld,
  reasonOf,
  startRegistryWorld,
  type TestNode,
} from './fixture.ts';

const SETTINGS = { look_ms: 50, key_overlap_s: 2, reconcile_ms: 500, credentials_ttl_s: 3600 };

describe('keys of nodes', function () {
  this.timeout(90_000);
  let world: RegistryWorld;
  let one: RunningService;
  let two: RunningService;
  let admin: RegistryClient;
  let org: string;
  before(async () => {
    world = await startRegistryWorld();
    [one, two] = await Promise.all([world.start(SETTINGS), world.start(SETTINGS)]);
    org = world.orgs[0];
    admin = await world.asUser(two, ['admin']);
    await world.events('');
  });
  after(() => world?.[Symbol.asyncDispose]());

  const dropped = (broker: Broker) => new Promise<void>((done) => void broker.onDisconnect(() => done()));
  const refused = (node: TestNode) => reasonOf(world.nodeBroker(node, node.welcome.userJwt, 0));
  const told = async (name: string, target: string) =>
    eventually(async () => (await world.events(target)).some((event) => event.name === name));

  it('removed: it is out at once and for good, with its agents, and its mail is not lost', async () => {
    const node = await world.node(one, 'removed');
    const { agent } = await node.client.registerAgent({ name: 'tenant', adapter: 'stream' });
    await node.client.openInbox({});
    const subject = inboxSubject.build({ shard: 0, org, node: node.id, agent: agent!.id });
    const router = await world.broker();
    await router.store(subject, new Uint8Array(3).fill(0xff), { msgId: 'waits' });
    const neighbour = await world.nodeBroker(await world.node(two, 'neighbour'));
    const broker = await world.nodeBroker(node);
    const out = dropped(broker);
    assert.equal(
      await reasonOf((await world.asUser(one, ['send'])).removeNode({ node: 'removed' })),
      'SCOPE_MISSING',
    );
    assert.equal(await reasonOf(admin.removeNode({ node: 'remove' })), 'NODE_UNKNOWN');
    const stranger = await world.asUser(one, ['admin'], world.orgs[1]);
    assert.equal(await reasonOf(stranger.removeNode({ node: node.id })), 'NODE_UNKNOWN');
    assert.deepEqual(await admin.removeNode({ node: 'Removed' }), { agents: 1 });
    await out;
    assert.ok(neighbour.connected());
    assert.equal(await refused(node), 'NATS_REFUSED');
    assert.deepEqual(await admin.removeNode({ node: node.id }), { agents: 0 }, 'again');
    for (const service of [one, two]) {
      assert.equal(await reasonOf(greet(world.client(service), node.id, node.seed)), 'NODE_REMOVED');
      const again = { joinToken: org, nodeName: 'removed', publicKey: node.publicKey };
      assert.equal(await reasonOf(world.client(service).join(again)), 'NODE_REMOVED');
    }
    const other = createNodeKey();
    assert.equal(
      await reasonOf(greet(world.client(one), node.id, other.seed)),
      'NODE_UNKNOWN',
      'not to strangers',
    );
    assert.equal(await world.nodeRoute(org, node.id), undefined);
    assert.equal(await reasonOf(admin.lookupAgent({ name: 'tenant' })), 'UNKNOWN_AGENT');
    const [move] = await world.sql<{ reason: string }>('select reason from moves where agent = $1', [
      agent!.id,
    ]);
    assert.equal(move?.reason, 'node_removed');
    const { stream, durable_name } = nodeConsumer(0, org, node.id);
    assert.equal(await router.consumers.info(stream, durable_name), undefined);
    // Nobody can read it, so there is no sender to return it to.
    const dead = deadSubject.build({ org, agent: UNKNOWN_RECIPIENT });
    await eventually(async () => {
      const letter = await router.messages.lastBySubject('DEAD', dead);
      return letter !== undefined && DeadLetter.decode(letter.data).subject === subject;
    });
    await told('node_removed', node.id);
  });

  it('removed, shut out or rotated away: the token of its last HELLO is good for nothing any more', async () => {
    const own = world.freshOrg();
    const its = await world.asUser(one, ['admin'], own);
    world.org.owner = 'u_leaver';
    const shutOut = await world.node(one, 'left-behind', own);
    world.org.owner = 'u_owner';
    const [gone, rotated] = [await world.node(one, 'gone', own), await world.node(one, 'rotated', own)];
    const reasons = async (node: TestNode, service: RunningService) => {
      const client = world.client(service, node.welcome.nodeToken);
      const calls = [
        client.sync({}),
        client.listNodes({}),
        client.listAgents({}),
        client.lookupAgent({ name: 'nobody' }),
        client.listChannels({}),
        client.createChannel({ name: `of-${node.name}`, kind: 'channel' }),
        client.registerAgent({ name: `of-${node.name}`, adapter: 'stream' }),
        client.syncRoster({ agents: [] }),
        client.openInbox({}),
      ];
      return [...new Set(await Promise.all(calls.map(reasonOf)))].sort().join();
    };
    const ends = (node: TestNode, reason: string) =>
      Promise.all(
        [one, two].map((service) => eventually(async () => (await reasons(node, service)) === reason)),
      );
    assert.match(await reasons(rotated, two), /none/);
    const fresh = createNodeKey();
    const { nonce } = await world.client(one).challenge({ node: rotated.id });
    const bytes = rotationBytes(rotated.id, nonce, fresh.publicKey);
    const signature = signWithNodeKey(rotated.seed, bytes);
    const newSignature = signWithNodeKey(fresh.seed, bytes);
    await rotated.client.rotateKey({ nonce, newPublicKey: fresh.publicKey, signature, newSignature });
    assert.match(await reasons(rotated, one), /none/, 'while both keys are taken');
    await its.removeNode({ node: gone.id });
    await world.publish({ org: own, version: 1, departed: [{ user: 'u_leaver', atMs: Date.now() + 1000 }] });
    await ends(gone, 'NODE_UNKNOWN');
    await ends(shutOut, 'OWNER_DEPARTED');
    await ends(rotated, 'TOKEN_REVOKED');
    assert.equal(
      (await its.listChannels({})).channels.find(({ name }) => name === 'of-gone'),
      undefined,
    );
    const welcome = await greetAs(world.client(two), { id: rotated.id, seed: fresh.seed });
    assert.equal(await reasonOf(world.client(one, welcome.nodeToken).listNodes({})), 'none');
  });

  it('removed: what was cut short after the decision is completed', async () => {
    const node = await world.node(one, 'halfway');
    await node.client.registerAgent({ name: 'half', adapter: 'stream' });
    await node.client.openInbox({});
    const out = dropped(await world.nodeBroker(node));
    await nodeKeys(await world.store()).removeNode(org, node.id, Date.now());
    await out;
    await eventually(async () => (await world.nodeRoute(org, node.id)) === undefined);
    const { stream, durable_name } = nodeConsumer(0, org, node.id);
    const router = await world.broker();
    await eventually(async () => (await router.consumers.info(stream, durable_name)) === undefined);
    await eventually(async () => (await world.sql('select from removed_keys where not told')).length === 0);
  });

  it('removed: it stays out over a restart of the server, and when that comes back with an older memory', async () => {
    const node = await world.node(one, 'persistent');
    const other = await world.node(two, 'stays-in');
    const [accounts, copy] = [join(world.nats.dir, 'accounts'), join(world.nats.dir, 'copy')];
    cpSync(accounts, copy, { recursive: true });
    await admin.removeNode({ node: node.id });
    await world.nats.restart();
    assert.equal(await refused(node), 'NATS_REFUSED');
    await world.nats.kill();
    rmSync(accounts, { recursive: true });
    cpSync(copy, accounts, { recursive: true });
    await world.nats.restart();
    await eventually(async () => (await refused(node)) === 'NATS_REFUSED');
    for (const service of [one, two])
      await eventually(() => greet(world.client(service), other.id, other.seed), { timeoutMs: 20_000 });
  });

  it('removed: it stays out when somebody who asked the servers before answers after', async () => {
    const node = await world.node(one, 'overwritten');
    const credsFile = keyFiles.natsCreds(world.keysDir, 'sys');
    const inboxPrefix = serviceInboxPrefix('sys');
    const sys = await connectBroker({
      urls: [world.nats.url],
      name: 'test',
      credsFile,
      inboxPrefix,
      waitMs: 5000,
    });
    const { account } = signingOfOrg(await loadOrgKeys(world.keysDir), org)!;
    const before = await sys.request(claimsLookup(account), new Uint8Array(), 5000);
    await admin.removeNode({ node: node.id });
    const put = await sys.request(CLAIMS_UPDATE, before, 5000);
    await sys.close();
    // The server's word, not a connection of the node's: that the registry may end at any moment, also while it is made.
    assert.equal(JSON.parse(new TextDecoder().decode(put)).data?.code, 200);
    await eventually(async () => (await refused(node)) === 'NATS_REFUSED');
  });

  it('removed: it stays out when PostgreSQL comes back with an older memory', async () => {
    const node = await world.node(one, 'undead');
    const [row] = await world.sql<{ row: string }>(
      'select to_jsonb(n)::text as row from nodes n where id = $1',
      [node.id],
    );
    await admin.removeNode({ node: node.id });
    await world.sql('insert into nodes select * from jsonb_populate_record(null::nodes, $1::jsonb)', [
      row!.row,
    ]);
    await world.sql('delete from removed_keys where node = $1', [node.id]);
    const refusedHello = greetAs(world.client(two), node, { instance: 'i-undead' });
    assert.equal(await reasonOf(refusedHello), 'NODE_REMOVED');
    // Nor does it show as online for having tried.
    const held = await world.sql('select from nodes where id = $1 and instance = $2', [node.id, 'i-undead']);
    assert.equal(held.length, 0);
    await eventually(async () => {
      const welcome = await greet(world.client(one), node.id, node.seed).catch(() => node.welcome);
      return (await refused({ ...node, welcome })) === 'NATS_REFUSED';
    });
    await world.sql('delete from nodes where id = $1', [node.id]);
  });

  /** RotateKey for `node` at `at`, from the key that it joined with to a fresh one unless told. */
  const rotation = (at: RunningService, node: TestNode) => {
    const fresh = createNodeKey();
    const rotate = async (
      o: {
        from?: string;
        to?: Pick<TestNode, 'seed' | 'publicKey'>;
        seed?: string;
        by?: RegistryClient;
        nonce?: Uint8Array;
      } = {},
    ) => {
      const { to = fresh, by = world.client(at, node.welcome.nodeToken) } = o;
      const { nonce } =
        o.nonce === undefined ? await world.client(at).challenge({ node: node.id }) : { nonce: o.nonce };
      const bytes = rotationBytes(node.id, nonce, to.publicKey);
      return by.rotateKey({
        nonce,
        newPublicKey: to.publicKey,
        signature: signWithNodeKey(o.from ?? node.seed, bytes),
        newSignature: signWithNodeKey(o.seed ?? to.seed, bytes),
      });
    };
    return { fresh, rotate };
  };

  it('rotated: both work for a while; repeated it is the same; not again meanwhile, as each key is remembered', async () => {
    // Nothing here may hang on how fast it goes: this replica gives keys an hour.
    const patient = await world.start({ ...SETTINGS, key_overlap_s: 3600 });
    const node = await world.node(patient, 'rotating');
    const { fresh, rotate } = rotation(patient, node);
    assert.equal(await reasonOf(rotate({ from: createNodeKey().seed })), 'SIGNATURE_INVALID');
    assert.equal(await reasonOf(rotate({ seed: createNodeKey().seed })), 'SIGNATURE_INVALID');
    const other = await world.node(two, 'owner-of-key');
    assert.equal(await reasonOf(rotate({ to: other })), 'KEY_IN_USE');
    const { nonce: greeted } = await world.client(two).challenge({ node: node.id });
    await greetAs(world.client(two), node, { nonce: greeted });
    assert.equal(await reasonOf(rotate({ nonce: greeted })), 'CHALLENGE_INVALID');
    const { nonce } = await world.client(two).challenge({ node: node.id });
    const { oldKeyUntilMs } = await rotate({ nonce });
    assert.ok(oldKeyUntilMs > Date.now());
    assert.equal(await reasonOf(greetAs(world.client(two), node, { nonce })), 'CHALLENGE_INVALID');
    assert.deepEqual(await rotate(), { oldKeyUntilMs }, 'repeated');
    assert.equal(await refused(node), 'none', 'the old key still works');
    const welcome = await greetAs(world.client(patient), { id: node.id, seed: fresh.seed });
    assert.equal(await refused({ ...node, ...fresh, welcome }), 'none');
    const more = { from: fresh.seed, to: createNodeKey(), by: world.client(patient, welcome.nodeToken) };
    assert.equal(await reasonOf(rotate(more)), 'ROTATED_LATELY');
    assert.equal(
      await reasonOf(
        world.client(two).join({ joinToken: org, nodeName: 'thief', publicKey: node.publicKey }),
      ),
      'NODE_ALREADY_JOINED',
    );
    await patient.stop();
  });

  it('rotated: after a while the old key does not work, nor its connection', async () => {
    const node = await world.node(one, 'rotated');
    const { fresh, rotate } = rotation(one, node);
    await admin.requestKeyRotation({ node: node.id });
    const old = await world.nodeBroker(node);
    const out = dropped(old);
    await rotate();
    const welcome = await greetAs(world.client(two), { id: node.id, seed: fresh.seed });
    const rotated = await world.nodeBroker({ ...node, ...fresh, welcome });
    assert.equal((await beatAs(rotated, node, org)).rotateKey, false);
    const late = await world.client(two).challenge({ node: node.id });
    await out;
    assert.equal(await refused(node), 'NATS_REFUSED');
    const retired = greet(world.client(one), node.id, node.seed, { nonce: late.nonce });
    assert.equal(await reasonOf(retired), 'KEY_RETIRED');
    const by = world.client(one, welcome.nodeToken);
    assert.equal(await reasonOf(rotate({ from: fresh.seed, to: node, by })), 'KEY_IN_USE');
    assert.ok(rotated.connected());
    assert.equal((await beatAs(rotated, node, org)).known, true);
    await told('node_key_rotated', node.id);
  });

  it('of a departed member: shut out at once, others not, and welcome again once somebody adopts the node', async () => {
    const own = world.freshOrg();
    world.org.owner = 'u_leaver';
    const node = await world.node(one, 'orphan', own);
    world.org.owner = 'u_stayer';
    const stays = await world.node(one, 'stays', own);
    world.org.owner = 'u_owner';
    const out = dropped(await world.nodeBroker(node));
    const remains = await world.nodeBroker(stays);
    const state = { departed: [{ user: 'u_leaver', atMs: Date.now() + 1000 }] };
    await world.publish({ org: own, version: 1, ...state });
    await out;
    assert.ok(remains.connected());
    assert.equal(await refused(node), 'NATS_REFUSED');
    for (const service of [one, two])
      assert.equal(await reasonOf(greet(world.client(service), node.id, node.seed)), 'OWNER_DEPARTED');
    const its = await world.asUser(one, ['admin'], own);
    const { nodes } = await its.listNodes({});
    assert.equal(nodes.find(({ id }) => id === node.id)?.status, 'shut_out');
    await told('node_shut_out', node.id);
    const { node: adopted } = await its.adoptNode({ node: 'orphan' });
    assert.equal(adopted?.owner, 'u_test');
    const comesIn = async () => {
      const welcome = await greet(world.client(two), node.id, node.seed).catch(() => undefined);
      return (
        welcome && (await reasonOf(world.nodeBroker({ ...node, welcome }, welcome.userJwt, 0))) === 'none'
      );
    };
    await eventually(comesIn);
    // Who leaves at the same moment may be told of later, with an earlier moment.
    const later = { departed: [...state.departed, { user: 'u_test', atMs: 1 }] };
    await world.publish({ org: own, version: 2, ...later });
    await eventually(
      async () => (await reasonOf(greet(world.client(two), node.id, node.seed))) === 'OWNER_DEPARTED',
    );
  });

  it('of a departed member: one that was joining at that moment is shut out too', async () => {
    const own = world.freshOrg();
    const present = await world.node(one, 'present', own);
    await world.publish({ org: own, version: 1, departed: [{ user: 'u_owner', atMs: 1 }] });
    await eventually(
      async () => (await reasonOf(greet(world.client(one), present.id, present.seed))) === 'OWNER_DEPARTED',
    );
    const key = createNodeKey();
    const late = { joinToken: own, nodeName: 'late', publicKey: key.publicKey };
    assert.equal(await reasonOf(world.client(one).join(late)), 'OWNER_DEPARTED');
    const [row] = await world.sql<{ id: string }>('select id from nodes where public_key = $1', [
      key.publicKey,
    ]);
    assert.equal(await reasonOf(greet(world.client(two), row!.id, key.seed)), 'OWNER_DEPARTED');
  });
});
