// Goal: the servers let each user do what its row of the table says, and nothing else; the reference page says the same.
// Method: everything that somebody might try, by every user with real credentials; what must come of it follows from
// the table by a matcher of this test. FLEETWIRE_NATS_SERVER names the server's binary.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import {
  DELIVERY_HISTORY,
  filters,
  flushSubject,
  heartbeatSubject,
  nodeDeadSubject,
  partitionOf,
  peerSubject,
  routerConsumer,
  SUBSCRIBED,
  streamSpecs,
  subscriberConsumer,
} from '@fleetwire/contract';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { after, before, describe, it } from 'mocha';
import {
  keyFiles,
  nodePermissions,
  SERVICE_USERS,
  serviceRights,
  subscriberPermissions,
  type UserRights,
} from '../src/index.ts';
import type { Place } from './broker-subjects.ts';
import { covers, FOLLOWED, filtersToTry, subjectsToTry } from './broker-subjects.ts';
import type { FabricFixture, NodeClient } from './fabric-fixture.ts';
import { makeConsumer, makeNodeConsumers, startFabric } from './fabric-fixture.ts';

const PAGE = new URL('../../../docs/reference/permissions.md', import.meta.url);
const NOWHERE = 'o_nowhere';
const TIMEOUT = { timeout: 20_000 };

describe('rights at the broker', function () {
  this.timeout(60_000);
  let fabric: FabricFixture;
  let all: NatsConnection;
  let places: Place[];
  let subjects: string[];
  let wildcards: string[];

  before(async () => {
    fabric = await startFabric();
    const [one, two] = fabric.orgs;
    all = await fabric.fabricUser();
    await makeNodeConsumers(all, fabric.orgs);
    await makeConsumer(all, DELIVERY_HISTORY);
    places = [
      { org: one, nodes: ['n_alice', 'n_bob'] },
      { org: two, nodes: ['n_mallory'] },
      { org: NOWHERE, nodes: ['n_nobody'] },
    ];
    subjects = subjectsToTry(places, fabric.trust.orgs[0]!.account);
    wildcards = filtersToTry(places, fabric.trust.orgs[0]!.account);
  });
  after(async () => {
    await fabric?.[Symbol.asyncDispose]();
  });

  const may = ({ publish, neverPublish = [] }: UserRights, subject: string) =>
    publish.some((p) => covers(p, subject)) && !neverPublish.some((p) => covers(p, subject));

  /** What the server refused, as it names it. */
  const refusals = (faults: readonly string[], what: 'Publish' | 'Subscription') =>
    faults
      .map((fault) => new RegExp(`Violation for ${what} (?:to )?"([^"]+)"`, 'i').exec(fault)?.[1])
      .filter((subject) => subject !== undefined);

  /** All that was sent is dealt with, and what the server said about it is here. */
  async function settle({ connection }: NodeClient): Promise<void> {
    for (let round = 0; round < 3; round++) await connection.flush();
    await new Promise((resolve) => setImmediate(resolve));
  }

  async function tryAll(user: NodeClient, rights: UserRights): Promise<void> {
    const { connection, faults } = user;
    for (const [i, subject] of subjects.entries()) {
      connection.publish(subject, '');
      if (i % 200 === 0) await connection.flush();
    }
    await settle(user);
    const wanted = subjects.filter((subject) => !may(rights, subject));
    assert.deepEqual(refusals(faults, 'Publish').sort(), wanted.sort());
    faults.length = 0;
    for (const [i, filter] of wildcards.entries()) {
      const queue = i % 2 === 0 ? {} : { queue: 'q' };
      connection.subscribe(filter, { ...queue, callback: () => undefined });
      if (i % 20 === 0) await connection.flush();
    }
    await settle(user);
    const deaf = wildcards.filter((filter) => !rights.subscribe.some((p) => covers(p, filter)));
    assert.deepEqual(refusals(faults, 'Subscription').sort(), deaf.sort());
  }

  it('are on the page exactly as they are in the table', () => {
    const lines = readFileSync(PAGE, 'utf8').split('\n');
    const rows = lines.filter((line) => /^\| \S+ \| (never publish|publish|subscribe) \| /.test(line));
    const cells = rows.map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$|`/g, '')));
    const said = cells.map(([user, verb, pattern]) => `${user} ${verb} ${pattern}`);
    const node = nodePermissions({ org: 'o_org', node: 'n_node', partition: 0, shard: 0 });
    const subscriber = subscriberPermissions({ org: 'o_org', what: 'receipts', name: 'name' });
    const users: [string, UserRights][] = [
      ['node', node],
      ['subscriber', subscriber],
      ...SERVICE_USERS.map(named),
    ];
    const wanted = users.flatMap(([user, { publish, neverPublish = [], subscribe }]) => [
      ...publish.map((p) => `${user} publish ${p}`),
      ...neverPublish.map((p) => `${user} never publish ${p}`),
      ...subscribe.map((p) => `${user} subscribe ${p}`),
    ]);
    assert.deepEqual(said, wanted);
  });
  const named = (name: string): [string, UserRights] => [name, serviceRights(name)];

  it('to make, alter or delete streams has bootstrap alone; each has its own inbox and speaks in its own name', () => {
    const admin = /^\$JS\.API\.(STREAM\.(CREATE|UPDATE|DELETE|PURGE|RESTORE|SNAPSHOT)|META|SERVER)/;
    for (const name of SERVICE_USERS) {
      const rights = serviceRights(name);
      const mine = subjects.filter((subject) => may(rights, subject));
      if (name !== 'bootstrap') {
        const calls = mine.filter((subject) => admin.test(subject));
        assert.deepEqual(calls, name === 'registry' ? ['$JS.API.STREAM.PURGE.KV_fw-routes'] : [], name);
      }
      const spoken = mine.filter((subject) => /^fw\.v1\.(receipt|event|message|peer)\./.test(subject));
      const speaker = (s: string) =>
        s.startsWith('fw.v1.message.') ? 'delivery' : s.split('.')[s.startsWith('fw.v1.event.') ? 4 : 5];
      for (const subject of spoken) assert.equal(speaker(subject), name);
      const heard = wildcards.filter((f) => rights.subscribe.some((p) => covers(p, f)) && f.startsWith('_'));
      assert.deepEqual(new Set(heard.map((f) => f.split('.')[0])), new Set([`_INBOX_${name}`]));
    }
    const writers = (bucket: string) =>
      SERVICE_USERS.filter((name) =>
        subjects.some((s) => s.startsWith(`$KV.${bucket}.o_`) && may(serviceRights(name), s)),
      );
    assert.deepEqual([writers('fw-orgs'), writers('fw-routes')], [['org'], ['registry']]);
  });

  it('of a node are those of its rows, and nothing of what it tries is stored under another name', async () => {
    const [one] = fabric.orgs;
    const rights = nodePermissions({
      org: one,
      node: 'n_alice',
      partition: partitionOf(one, 'n_alice', 8),
      shard: 0,
    });
    const manager = await jetstreamManager(all);
    const streams = streamSpecs().map(({ name }) => name);
    for (const stream of streams) await manager.streams.purge(stream);
    await tryAll(await fabric.node(one, 'n_alice'), rights);
    for (const stream of streams) {
      const { state } = await manager.streams.info(stream, { subjects_filter: '>' });
      for (const subject of Object.keys(state.subjects ?? {})) assert.ok(may(rights, subject), subject);
      // What may be said is heard, too: across the accounts.
      if (stream === 'DEAD')
        assert.deepEqual(Object.keys(state.subjects ?? {}), [
          nodeDeadSubject.build({ org: one, agent: 'a_x', node: 'n_alice' }),
        ]);
    }
  });

  for (const what of FOLLOWED)
    it(`of a subscriber to ${what} are its one consumer, within its org, and nothing is stored by what it tries`, async () => {
      const [one, two] = fabric.orgs;
      const manager = await jetstreamManager(all);
      await manager.streams.purge(SUBSCRIBED[what]);
      for (const org of [one, two]) await makeConsumer(all, subscriberConsumer({ org, what, name: 'tail' }));
      const stored = async () => (await manager.streams.info(SUBSCRIBED[what])).state.messages;
      const [before, consumers] = [await stored(), await manager.consumers.list(SUBSCRIBED[what]).next()];
      const client = await fabric.subscriber(one, what, 'tail');
      await tryAll(client, subscriberPermissions({ org: one, what, name: 'tail' }));
      assert.equal(await stored(), before);
      const after = await manager.consumers.list(SUBSCRIBED[what]).next();
      const shape = (list: typeof after) => list.map(({ name, config }) => ({ name, config }));
      assert.deepEqual(shape(after), shape(consumers));
      // A pull of what it has, across the accounts; an answer cannot be had where another user of the org listens.
      const subject = {
        receipts: `fw.v1.receipt.${one}.n_bob.router`,
        events: `fw.v1.event.${one}.org.x`,
        messages: `fw.v1.message.${one}.message_sent`,
        dead: `fw.v1.dead.${one}.a_x`,
      }[what];
      await jetstream(all).publish(subject, 'mine', { msgID: `${what} mine` });
      await jetstream(all).publish(subject.replace(one, two), 'theirs', { msgID: `${what} theirs` });
      const { stream, durable_name: name } = subscriberConsumer({ org: one, what, name: 'tail' });
      const pull = `$JS.fleetwire.API.CONSUMER.MSG.NEXT.${stream}.${name}`;
      const options = { noMux: true, ...TIMEOUT };
      const first = await client.connection.request(
        pull,
        JSON.stringify({ batch: 1, expires: 1e9 }),
        options,
      );
      assert.deepEqual([first.subject, first.string()], [subject, 'mine']);
      await client.connection.request(first.reply!, '', options).catch(() => undefined);
      const { num_pending, num_ack_pending } = await manager.consumers.info(stream, name);
      assert.deepEqual([num_pending, num_ack_pending], [0, 0]);
    });

  it('fit into the one line of 4 KiB by which a user connects', () => {
    for (const name of SERVICE_USERS) {
      const creds = readFileSync(keyFiles.natsCreds(fabric.keysDir, name), 'utf8');
      assert.ok(creds.split('\n')[1]!.length < 3600, name);
    }
  });

  it('say nothing about whether another org is there', async () => {
    const [one, two] = fabric.orgs;
    const { connection, faults } = await fabric.node(one, 'n_alice');
    const answers = async (org: string, node: string) => {
      faults.length = 0;
      for (const subject of subjects.filter((s) => s.includes(org) || s.includes(node)))
        connection.publish(subject, '');
      for (const filter of wildcards.filter((f) => f.includes(org) || f.includes(node)))
        connection.subscribe(filter, { callback: () => undefined });
      await settle({ connection, faults });
      return faults.map((fault) => fault.replaceAll(org, 'ORG').replaceAll(node, 'NODE')).sort();
    };
    const there = await answers(two, 'n_mallory');
    assert.ok(there.length > 100);
    assert.deepEqual(there, await answers(NOWHERE, 'n_nobody'));
  });

  it('let a registry answer a heartbeat, and a router what a registry asks', async () => {
    const [one] = fabric.orgs;
    const [registry, router] = [await fabric.watched('registry'), await fabric.watched('router')];
    const { connection: node } = await fabric.node(one, 'n_alice');
    registry.connection.subscribe('fw.v1.heartbeat.>', {
      callback: (_, m) => void m.respond('first'),
    });
    router.connection.subscribe('fw.v1.flush.*', { callback: (_, m) => void m.respond('flushed') });
    await Promise.all([registry, router].map(settle));
    const beat = heartbeatSubject.build({ org: one, node: 'n_alice' });
    assert.equal((await node.request(beat, '', TIMEOUT)).string(), 'first');
    assert.deepEqual(registry.faults, []);
    const flush = flushSubject.build({ instance: 'x' });
    assert.equal((await registry.connection.request(flush, '', TIMEOUT)).string(), 'flushed');
  });

  it('let nodes of one org send each other frames, each in its own name', async () => {
    const [one, two] = fabric.orgs;
    const { alice, bob, mallory } = await fabric.three();
    const heard: string[] = [];
    for (const [client, org, node] of [
      [bob, one, 'n_bob'],
      [mallory, two, 'n_mallory'],
    ] as const)
      client.connection.subscribe(filters.framesToNode(org, node), {
        callback: (_, m) => void heard.push(m.subject),
      });
    await Promise.all([bob, mallory].map(settle));
    const frame = (org: string, to: string, from: string) => peerSubject.build({ org, to, from });
    const forged = [
      ...['n_bob', 'registry', 'router', 'delivery'].map((from) => frame(one, 'n_bob', from)),
      frame(two, 'n_mallory', 'n_alice'),
    ];
    for (const subject of forged) alice.connection.publish(subject, 'x');
    alice.connection.publish(frame(one, 'n_bob', 'n_alice'), 'x');
    // Not in this org: nobody hears it, and nobody says whether there is such a node.
    alice.connection.publish(frame(one, 'n_mallory', 'n_alice'), 'x');
    await settle(alice);
    await Promise.all([bob, mallory].map(settle));
    assert.deepEqual(heard, [frame(one, 'n_bob', 'n_alice')]);
    assert.deepEqual(refusals(alice.faults, 'Publish').sort(), forged.sort());
  });

  it('to make a consumer are for the name, the filter and the stream that the subject says', async () => {
    const router = await fabric.service('router');
    const { stream, durable_name: theirs, ...config } = DELIVERY_HISTORY;
    const mine = routerConsumer(0, 7);
    const before = await (await jetstreamManager(all)).consumers.info(stream, theirs);
    const make = async (name: string, filter_subject: string, to: string) => {
      const body = { stream_name: to, config: { ...config, durable_name: name, name, filter_subject } };
      const subject = `$JS.API.CONSUMER.CREATE.INGRESS.${mine.durable_name}.${mine.filter_subject}`;
      return (await router.request(subject, JSON.stringify(body), TIMEOUT)).json<{ error?: object }>().error;
    };
    assert.ok(await make(theirs, mine.filter_subject, 'INGRESS'));
    assert.ok(await make(mine.durable_name, config.filter_subject, 'INGRESS'));
    assert.ok(await make(mine.durable_name, mine.filter_subject, 'INBOX'));
    assert.equal(await make(mine.durable_name, mine.filter_subject, 'INGRESS'), undefined);
    assert.deepEqual(
      (await (await jetstreamManager(all)).consumers.info(stream, theirs)).config,
      before.config,
    );
  });

  // The one that may delete streams comes last.
  for (const name of [...SERVICE_USERS].sort((a, b) => Number(a === 'bootstrap') - Number(b === 'bootstrap')))
    it(`of ${name} are those of its rows`, async () => {
      await tryAll(await fabric.watched(name), serviceRights(name));
    });
});
