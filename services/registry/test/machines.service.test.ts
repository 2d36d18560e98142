/**
 * Goal: a node and its hub prove themselves to each other, one machine is a node at a time, and all replicas say the same
 * of it. Method: two replicas on real servers, nodes of both protocols with real keys, and every bad HELLO and heartbeat.
 */

import assert from 'node:assert/strict';
import { heartbeatSubject, PROTOCOL_VERSIONS } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Heartbeat } from '@fleetwire/gen/message';
import { createNodeKey, rosterDigest, signWithNodeKey, verifyHub } from '@fleetwire/identity';
import { newId } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import {
  beat,
  beatAs,
  errorOf,
  greet,
  greetAs,
  type RegistryWorld,
  reasonOf,
  startRegistryWorld,
} from './fixture.ts';

/** Nobody is taken for silent, or allowed one more HELLO, because the machine is slow. */
const SETTINGS = {
  liveness_ms: 600_000,
  look_ms: 50,
  load_ms: 0,
  hellos_burst: 12,
  hellos_every_ms: 60_000,
};

/** One node may send 30 heartbeats at once, then two a second. */
const CALM = { everyMs: 500 };

describe('nodes of protocol 2', function () {
  this.timeout(60_000);
  let world: RegistryWorld;
  let one: RunningService;
  let two: RunningService;
  let org: string;
  before(async () => {
    world = await startRegistryWorld();
    [one, two] = await Promise.all([world.start(SETTINGS), world.start(SETTINGS)]);
    org = world.orgs[0];
    await world.events('');
  });
  after(() => world?.[Symbol.asyncDispose]());

  /** Joined, and no more. */
  const joined = async (nodeName: string) => {
    const key = createNodeKey();
    const answer = await world.client(one).join({ joinToken: org, nodeName, publicKey: key.publicKey });
    return { id: answer.node, name: nodeName, ...key, hubKey: answer.hubKey };
  };
  const connected = (node: Awaited<ReturnType<typeof joined>>, jwt: string) =>
    world.nodeBroker({ ...node, welcome: {} as never, client: {} as never }, jwt);
  const shown = async (service: RunningService, id: string) => {
    const { nodes } = await (await world.asUser(service, ['read'])).listNodes({ pageSize: 1000 });
    return nodes.find((node) => node.id === id)!;
  };

  it('get proof of their hub, which others cannot give, and tell who they are', async () => {
    const node = await joined('prover');
    const challenge = new Uint8Array(32).fill(3);
    const { nonce } = await world.client(one).challenge({ node: node.id });
    const facts = {
      capabilities: ['GPU', 'region.eu', 'no good', 'gpu'],
      tools: ['git', 'a\u0007b', '', 'x'.repeat(200)],
      cpus: 8,
      memoryBytes: 16e9,
    };
    const welcome = await greetAs(world.client(two), node, { nonce, challenge, facts, host: 'de\u001bsk' });
    assert.deepEqual([welcome.protocol, welcome.hubKey], [2, node.hubKey]);
    const proof = { node: node.id, challenge, nonce };
    assert.equal(verifyHub(node.hubKey, proof, welcome.challengeResponse), true);
    assert.equal(verifyHub(node.hubKey, { ...proof, nonce: challenge }, welcome.challengeResponse), false);
    assert.equal(verifyHub(createNodeKey().publicKey, proof, welcome.challengeResponse), false);
    const { status, owner, host, protocol, facts: kept } = await shown(one, node.id);
    assert.deepEqual([status, owner, host, protocol], ['online', 'u_owner', 'desk', 2]);
    assert.deepEqual(kept, {
      capabilities: ['gpu', 'region.eu'],
      tools: ['git', 'ab', 'x'.repeat(100)],
      cpus: 8,
      memoryBytes: 16e9,
    });
    const route = await world.nodeRoute(org, node.id);
    assert.deepEqual([route?.online, route?.name, route?.draining], [true, 'prover', false]);
  });

  it('speak the newest protocol that both know, and are told which ones there are', async () => {
    const node = await joined('speaker');
    const client = world.client(one);
    assert.equal((await greetAs(client, node, { protocols: [9, 2, 1] })).protocol, 2);
    assert.equal((await greetAs(client, node, { protocols: [1] })).protocol, 0);
    const old = await greet(client, node.id, node.seed);
    assert.deepEqual([old.protocol, old.hubKey, old.challengeResponse.length], [0, '', 0]);
    const refused = await errorOf(greetAs(client, node, { protocol: '3', protocols: [3, 4] }));
    assert.deepEqual(
      [refused?.reason, refused?.details['supported']],
      ['PROTOCOL_UNSUPPORTED', PROTOCOL_VERSIONS.join(',')],
    );
  });

  it('are refused for a HELLO that somebody listened to, a forged one, and a challenge of another size', async () => {
    const node = await joined('replayed');
    const client = world.client(one);
    const { nonce } = await client.challenge({ node: node.id });
    const heard = { nonce, instance: 'i-1' };
    await greetAs(client, node, heard);
    // By no replica, also all at once, and also one that has not started yet.
    const third = await world.start(SETTINGS);
    for (const replica of [one, two, third])
      assert.equal(await reasonOf(greetAs(world.client(replica), node, heard)), 'CHALLENGE_INVALID');
    await third.stop();
    // As often as may be: it takes nothing of what the node itself may say.
    for (let i = 0; i < 2 * SETTINGS.hellos_burst; i++)
      assert.equal(await reasonOf(greetAs(client, node, heard)), 'CHALLENGE_INVALID');
    const forged = signWithNodeKey(createNodeKey().seed, nonce);
    const fresh = (await client.challenge({ node: node.id })).nonce;
    assert.equal(
      await reasonOf(greetAs(client, node, { nonce: fresh, signature: forged })),
      'SIGNATURE_INVALID',
    );
    // A refusal spends nothing.
    await greetAs(client, node, { nonce: fresh });
    assert.equal(
      await reasonOf(greetAs(client, node, { challenge: new Uint8Array(31) })),
      'INVALID_CHALLENGE',
    );
  });

  it('are taken once for one nonce, at however many replicas they say HELLO at once', async () => {
    const node = await joined('twofold');
    const { nonce } = await world.client(one).challenge({ node: node.id });
    const said = [one, two, one, two].map((replica, i) =>
      reasonOf(greetAs(world.client(replica), node, { nonce, instance: `i-${i}` })),
    );
    assert.deepEqual((await Promise.all(said)).toSorted().slice(0, 4), [
      'CHALLENGE_INVALID',
      'CHALLENGE_INVALID',
      'CHALLENGE_INVALID',
      'none',
    ]);
  });

  it('are compared alike in HELLO and heartbeats, however long the name of their process is', async () => {
    const node = await joined('wordy');
    const instance = 'i'.repeat(100);
    const welcome = await greetAs(world.client(one), node, { instance });
    const broker = await connected(node, welcome.userJwt);
    const { known, refused } = await beatAs(broker, node, org, { instance });
    assert.deepEqual([known, refused], [true, '']);
  });

  it('that flap are told to wait, by the machine, and are told of once a minute', async () => {
    const node = await joined('flapping');
    const client = world.client(two);
    const outcomes: (string | undefined)[] = [];
    for (let i = 0; i < 16; i++) outcomes.push(await reasonOf(greetAs(client, node, { instance: `i-${i}` })));
    const refused = await errorOf(greetAs(client, node, { instance: 'i-99' }));
    assert.deepEqual([refused?.kind, refused?.reason], ['resource_exhausted', 'HELLO_TOO_OFTEN']);
    assert.ok((refused?.retryAfterMs ?? 0) > 0);
    assert.ok(outcomes.filter((reason) => reason === 'none').length >= 12);
    await eventually(async () => (await world.events(node.id)).length >= 2);
    const names = (await world.events(node.id)).map(({ name, id }) => `${name} ${id}`);
    assert.equal(new Set(names).size, names.length);
    assert.ok(names.filter((name) => name.startsWith('node_online')).length <= 2, names.join());
  });

  it('that say each time that they are another machine are told to wait, and the holder is not', async () => {
    const node = await joined('many-faced');
    const client = world.client(one);
    await greetAs(client, node);
    const outcomes: string[] = [];
    for (let i = 0; i < 20; i++) {
      const machine = `m-${i + 2}`;
      outcomes.push(await reasonOf(greetAs(client, node, { instance: machine, machine, host: machine })));
    }
    assert.ok(outcomes.includes('IDENTITY_IN_USE'));
    assert.equal(outcomes.at(-1), 'HELLO_TOO_OFTEN');
    assert.equal(await reasonOf(greetAs(client, node)), 'none');
  });

  describe('of which there are two machines', () => {
    it('the second is refused, both are told, and it takes over when the first is silent', async () => {
      const node = await joined('twice');
      const first = await greetAs(world.client(one), node, { instance: 'i-1', machine: 'm-1', host: 'desk' });
      const broker = await connected(node, first.userJwt);
      const second = { instance: 'i-2', machine: 'm-2', host: 'attic' };
      const refused = await errorOf(greetAs(world.client(two), node, second));
      assert.deepEqual(
        [refused?.kind, refused?.reason, refused?.details['holder']],
        ['failed_precondition', 'IDENTITY_IN_USE', 'desk'],
      );
      assert.ok((refused?.retryAfterMs ?? 0) >= 1000);
      await eventually(async () => (await beatAs(broker, node, org)).contender.startsWith('attic'));
      assert.match((await shown(one, node.id)).contender, /^attic/);
      await eventually(async () =>
        (await world.events(node.id)).some(({ name }) => name === 'node_contended'),
      );
      // Its heartbeats are not the holder's: by either replica.
      for (let i = 0; i < 4; i++) {
        const answer = await beatAs(broker, node, org, { instance: 'i-2' });
        assert.deepEqual([answer.known, answer.refused], [false, 'IDENTITY_IN_USE']);
      }
      const hasty = await world.start({ ...SETTINGS, liveness_ms: 1000, hellos_every_ms: 10 });
      await eventually(async () => (await reasonOf(greetAs(world.client(hasty), node, second))) === 'none');
      await hasty.stop();
      await eventually(async () => (await beatAs(broker, node, org)).refused === 'IDENTITY_IN_USE');
      assert.equal((await shown(one, node.id)).host, 'attic');
    });

    it('silence proves nothing after a break, nor does a goodbye of before: the one that was there comes back', async () => {
      const node = await joined('copied');
      await greetAs(world.client(one), node);
      const farewell = await joined('returned');
      const welcome = await greetAs(world.client(one), farewell);
      const leaving = await connected(farewell, welcome.userJwt);
      await beatAs(leaving, farewell, org, { leaving: true });
      // Nobody could be heard of for a long time.
      await world.sql(
        `update nodes set last_seen_at_ms = last_seen_at_ms - 3600000, left_at_ms = least(left_at_ms, last_seen_at_ms - 3600000)
         where id = any ($1)`,
        [[node.id, farewell.id]],
      );
      await world.sql('update nodes set left_at_ms = last_seen_at_ms where id = $1', [farewell.id]);
      const late = await world.start(SETTINGS);
      const copy = { instance: 'i-2', machine: 'm-2', host: 'attic' };
      for (const each of [node, farewell]) {
        const refused = await errorOf(greetAs(world.client(late), each, copy));
        assert.equal(refused?.reason, 'IDENTITY_IN_USE');
        // It is taken when it has been silent for long enough.
        assert.ok((refused?.retryAfterMs ?? 0) > SETTINGS.liveness_ms);
        assert.match(refused?.help ?? '', /silent/);
        assert.match((await shown(late, each.id)).contender, /^attic/);
        assert.equal(await reasonOf(greetAs(world.client(late), each, { instance: 'i-3' })), 'none');
      }
      await late.stop();
      const hasty = await world.start({ ...SETTINGS, liveness_ms: 500, hellos_every_ms: 10 });
      await eventually(async () => (await reasonOf(greetAs(world.client(hasty), node, copy))) === 'none');
      await hasty.stop();
    });

    it('those that take turns are noted once a minute', async () => {
      const node = await joined('turns');
      await greetAs(world.client(one), node);
      const noted = async () => {
        const sql = 'select revision, contender from nodes where id = $1';
        return (await world.sql<{ revision: number; contender: string }>(sql, [node.id]))[0]!;
      };
      const tried = (machine: string) =>
        reasonOf(greetAs(world.client(one), node, { instance: machine, machine, host: machine }));
      assert.equal(await tried('m-2'), 'IDENTITY_IN_USE');
      const first = await noted();
      assert.match(first.contender, /^m-2/);
      for (const machine of ['m-3', 'm-2', 'm-3']) assert.equal(await tried(machine), 'IDENTITY_IN_USE');
      assert.deepEqual(await noted(), first);
    });

    it('a restart on the same machine takes over at once, and so does another machine after a goodbye', async () => {
      const node = await joined('restarted');
      const first = await greetAs(world.client(one), node, { instance: 'i-1' });
      const { nodeToken } = await greetAs(world.client(two), node, { instance: 'i-2' });
      await world.client(one, nodeToken).registerAgent({ name: 'guest', adapter: 'stream' });
      const broker = await connected(node, first.userJwt);
      const agents = async () => {
        const readers = await Promise.all([one, two].map((service) => world.asUser(service, ['read'])));
        return Promise.all(
          readers.map(async (reader) => (await reader.lookupAgent({ name: 'guest' })).agent?.status),
        );
      };
      assert.deepEqual(await agents(), ['online', 'online']);
      assert.equal((await beatAs(broker, node, org, { instance: 'i-2' })).known, true);
      assert.equal((await beatAs(broker, node, org, { instance: 'i-2', leaving: true })).known, true);
      await eventually(async () => {
        const states = await Promise.all([one, two].map((service) => shown(service, node.id)));
        return states.every(({ status }) => status === 'offline');
      });
      assert.equal((await world.nodeRoute(org, node.id))?.online, false);
      await eventually(async () => (await agents()).every((status) => status === 'offline'));
      assert.equal((await shown(one, node.id)).contender, '');
      await greetAs(world.client(one), node, { instance: 'i-3', machine: 'm-9' });
      await eventually(async () => {
        const states = await Promise.all([one, two].map((service) => shown(service, node.id)));
        return states.every(({ status }) => status === 'online');
      });
      assert.equal((await world.nodeRoute(org, node.id))?.online, true);
    });
  });

  it('hear with their heartbeats what is new, and those of protocol 1 nothing of it', async () => {
    const node = await joined('listener');
    const welcome = await greetAs(world.client(one), node);
    const broker = await connected(node, welcome.userJwt);
    const client = world.client(one, welcome.nodeToken);
    const { agent } = await client.registerAgent({ name: 'alice', adapter: 'stream' });
    const digest = rosterDigest([agent!.id]);
    await eventually(async () => (await beatAs(broker, node, org)).rosterDiffers, CALM);
    const reply = () => beatAs(broker, node, org, { rosterDigest: digest });
    for (let i = 0; i < 4; i++) assert.equal((await reply()).rosterDiffers, false);
    // Taken away by somebody else: what is remembered must not hide it.
    await client.deregisterAgent({ agent: agent!.id });
    await eventually(async () => (await reply()).rosterDiffers, CALM);
    assert.equal((await greetAs(world.client(two), node, { rosterDigest: digest })).rosterDiffers, true);
    const admin = await world.asUser(two, ['admin']);
    await admin.drainNode({ node: 'LISTENER' });
    await admin.requestKeyRotation({ node: node.id });
    await eventually(async () => {
      const { draining, rotateKey } = await reply();
      return draining && rotateKey;
    }, CALM);
    await world.sql(
      // Over, and not to be forgotten soon: nobody works on it any more.
      `insert into moves values ('a_1', 5, $1, $2, 0, 'n_2', 0, 'asked', 'done', 1, 9000000000000000)`,
      [org, node.id],
    );
    await eventually(async () => (await reply()).moving.length === 1, CALM);
    assert.deepEqual((await reply()).moving, [{ agent: 'a_1', epoch: 5 }]);
    assert.deepEqual((await greetAs(world.client(two), node)).moving, [{ agent: 'a_1', epoch: 5 }]);
    await beatAs(broker, node, org, { load: 7 });
    await eventually(async () => (await world.nodeRoute(org, node.id))?.load === 7);
    assert.equal((await world.nodeRoute(org, node.id))?.draining, true);
    await beatAs(broker, node, org, { facts: { capabilities: ['tpu'], tools: [], cpus: 1, memoryBytes: 2 } });
    assert.deepEqual((await shown(one, node.id)).facts?.capabilities, ['tpu']);
    const old = await world.node(one, 'ancient');
    await admin.drainNode({ node: old.id });
    const told = await beat(world, old);
    assert.deepEqual([told.known, told.draining, told.rosterDiffers], [true, false, false]);
  });

  it('that send what cannot be read, too much or too often get no answer, and all others do', async () => {
    const node = await joined('noisy');
    const welcome = await greetAs(world.client(one), node);
    const broker = await connected(node, welcome.userJwt);
    const subject = heartbeatSubject.build({ org, node: node.id });
    const neighbour = await joined('neighbour');
    for (const payload of [new Uint8Array(40).fill(0xff), new Uint8Array(100_000), new Uint8Array(0)])
      assert.equal(await reasonOf(broker.request(subject, payload, 200)), 'REQUEST_TIMEOUT');
    const strange = beatAs(broker, neighbour, org);
    await assert.rejects(strange);
    const tooMany = () =>
      [one, two]
        .map((service) => service.health() as Record<string, number>)
        .map((health) => health['heartbeats_unanswered']! - health['heartbeats_malformed']!);
    const before = tooMany();
    const fine = encode(Heartbeat, Heartbeat.fromPartial({ node: node.id, instance: 'i-1' }));
    for (let i = 0; i < 300; i++) broker.publish(subject, fine);
    await eventually(() => tooMany().some((count, i) => count > before[i]!));
    const other = await connected(neighbour, (await greetAs(world.client(two), neighbour)).userJwt);
    assert.equal((await beatAs(other, neighbour, org)).known, true);
    await eventually(async () => (await beatAs(broker, node, org).catch(() => undefined))?.known);
  });

  it('that are not there are not made known by a HELLO', async () => {
    const stranger = { id: newId('node'), seed: createNodeKey().seed };
    assert.equal(await reasonOf(greetAs(world.client(one), stranger)), 'NODE_UNKNOWN');
    assert.equal(await shown(one, stranger.id), undefined);
  });
});
