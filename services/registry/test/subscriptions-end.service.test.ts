/**
 * Goal: a subscription ends with the API key, the person and the org that it came from, at once and whenever they go, and with
 * those of nobody else.
 * Method: two replicas on a server in operator mode; what org says of orgs and of keys, also late and at a bad
 * moment. Then a server without accounts, where the place is all that can be taken away.
 */

import assert from 'node:assert/strict';
import type { Broker } from '@fleetwire/broker';
import { createNodeKey } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { type RegistryClient, type RegistryWorld, reasonOf, startRegistryWorld } from './fixture.ts';
import { follow, gone, take, texts, told } from './subscriber-rig.ts';

describe('subscriptions end', function () {
  this.timeout(90_000);
  let world: RegistryWorld;
  let one: RunningService;
  let two: RunningService;
  let publisher: Broker;
  before(async () => {
    world = await startRegistryWorld();
    [one, two] = await Promise.all([world.start({ look_ms: 50 }), world.start({ look_ms: 50 })]);
    publisher = await world.broker();
  });
  after(() => world?.[Symbol.asyncDispose]());

  it('not with the keys of others: where all tokens of a person are refused, org says which keys are good', async () => {
    const own = world.freshOrg();
    await world.publish({ org: own, version: 1 });
    const opened = async (name: string, what: string, keyId: string) => {
      const client = await world.asUser(one, ['admin', 'read'], own, keyId);
      const { publicKey, seed } = createNodeKey();
      return { seed, opened: await client.openSubscription({ name, what, publicKey }) };
    };
    const kept = await opened('a-kept', 'receipts', 'k_kept');
    await opened('lost', 'receipts', 'k_lost');
    await opened('demoted', 'events', 'k_demoted');
    await opened('still-reads', 'receipts', 'k_demoted');
    const broker = await follow(kept.opened, kept.seed);
    let asked = 0;
    world.org.unrevoked = (id) => {
      // Org is away at first: nothing is closed on a guess, and what is due is not forgotten.
      if (asked++ < 4) throw new FleetwireError('unavailable', 'DATABASE_AWAY', 'not now');
      if (id === 'k_lost') return undefined;
      return { user: 'u_test', scopes: id === 'k_demoted' ? ['read'] : ['admin', 'read'] };
    };
    const names = async () =>
      (
        await world.sql<{ name: string }>('select name from subscriptions where org = $1 order by name', [
          own,
        ])
      ).map(({ name }) => name);
    for (const [version, kind, subject] of [
      [2, 'user', 'u_test'],
      [3, 'org', ''],
    ] as const) {
      const revocations = [{ kind, subject, issuedUntilMs: Date.now() }];
      await world.publish({ org: own, version, revocations });
      await eventually(async () => (await names()).join() === 'a-kept,still-reads');
    }
    await told(publisher, own, 'n_1', 'still heard');
    const [message] = await take(broker, kept.opened, 1);
    assert.deepEqual(texts([message!]), ['still heard']);
    await broker.close();
  });

  it('of somebody who leaves while they are being opened', async () => {
    const own = world.freshOrg();
    await world.publish({ org: own, version: 1 });
    const client = await world.asUser(one, ['read'], own);
    const other = await world.asUser(two, ['read'], own);
    const open = (name: string) =>
      client.openSubscription({ name, what: 'receipts', publicKey: createNodeKey().publicKey });
    await open('before');
    const [locked, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    // Whoever opens one has checked the token by then, and waits here for its row.
    const holding = (await world.store()).transaction(async ({ query }) => {
      await query('select from orgs where org = $1 for update', [own]);
      locked.resolve();
      await release.promise;
    });
    await locked.promise;
    const opening = reasonOf(open('meanwhile'));
    const waiting = `select from pg_stat_activity where wait_event_type = 'Lock' and query like 'insert into orgs%'`;
    await eventually(async () => (await world.sql(waiting)).length > 0);
    const revocations = [{ kind: 'user', subject: 'u_test', issuedUntilMs: Date.now() + 1000 }];
    const departed = [{ user: 'u_test', atMs: Date.now() }];
    await world.publish({ org: own, version: 2, revocations, departed });
    const left = () => world.sql('select name from subscriptions where org = $1', [own]);
    const refused = async (who: RegistryClient) => (await reasonOf(who.listSubscriptions({}))) !== 'none';
    await eventually(
      async () => (await refused(client)) && (await refused(other)) && (await left()).length === 0,
    );
    release.resolve();
    await holding;
    assert.equal(await opening, 'TOKEN_REVOKED');
    assert.deepEqual(await left(), []);
  });

  it('not by who would take one over and is out already', async () => {
    const own = world.freshOrg();
    await world.publish({ org: own, version: 1 });
    const open = async (keyId: string, name = 'theirs') => {
      const client = await world.asUser(one, ['admin', 'read'], own, keyId);
      return client.openSubscription({
        name,
        what: 'receipts',
        publicKey: createNodeKey().publicKey,
      });
    };
    await open('k_good');
    const places = () =>
      world.sql('select public_key, api_key from subscriptions where org = $1 and name = $2', [
        own,
        'theirs',
      ]);
    const before = await places();
    // Of a moment before, so that the token itself is still taken.
    const revocations = [{ kind: 'key', subject: 'k_out', issuedUntilMs: 1 }];
    await world.publish({ org: own, version: 2, revocations });
    await eventually(async () => (await reasonOf(open('k_out', 'probe'))) === 'TOKEN_REVOKED');
    assert.equal(await reasonOf(open('k_out')), 'TOKEN_REVOKED');
    assert.deepEqual(await places(), before);
  });

  it('with the API key, the person and the org that they came from', async () => {
    const closed = async (name: string) =>
      eventually(
        async () =>
          (
            await world.sql(
              `select from subscriptions
      where org = $1 and name = $2`,
              [org, name],
            )
          ).length === 0,
      );
    const [org] = world.orgs;
    const [reader, admin] = [
      await world.asUser(one, ['read'], org, 'k_reader'),
      await world.asUser(two, ['admin']),
    ];
    const billing = createNodeKey();
    const broker = await follow(
      await reader.openSubscription({ name: 'billing', what: 'receipts', publicKey: billing.publicKey }),
      billing.seed,
    );
    const out = gone(broker);
    // Of a moment before: a token from then may have opened it later.
    const revocations = [{ kind: 'key', subject: 'k_reader', issuedUntilMs: 1 }];
    await world.publish({ org, version: 1, revocations });
    await out;
    await broker.close();
    await closed('billing');
    const mine = createNodeKey();
    const opened = await admin.openSubscription({
      name: 'mine',
      what: 'receipts',
      publicKey: mine.publicKey,
    });
    const second = await follow(opened, mine.seed);
    const outToo = gone(second);
    await world.publish({ org, version: 2, departed: [{ user: 'u_test', atMs: Date.now() }] });
    await outToo;
    await second.close();
    await closed('mine');
    const doomed = world.freshOrg();
    await world.publish({ org: doomed, version: 1 });
    const theirs = await world.asUser(one, ['admin'], doomed);
    const last = createNodeKey();
    const its = await theirs.openSubscription({ name: 'x', what: 'dead', publicKey: last.publicKey });
    const third = await follow(its, last.seed);
    const outAtLast = gone(third);
    await world.publish({ org: doomed, version: 2, status: 'deleting', clearing: true, deletion: 1 });
    await outAtLast;
    await third.close();
    await eventually(() => world.org.confirmed.includes(`${doomed} 1`));
    const { consumer } = its.subscription!;
    await eventually(async () => (await publisher.consumers.info('DEAD', consumer)) === undefined);
  });
});

describe('subscriptions at a server without accounts', function () {
  this.timeout(90_000);
  let world: RegistryWorld;
  let service: RunningService;
  let publisher: Broker;
  before(async () => {
    world = await startRegistryWorld({ singleTenant: true });
    service = await world.start({ look_ms: 50 });
    publisher = await world.broker();
  });
  after(() => world?.[Symbol.asyncDispose]());

  it('are places that work without credentials, narrowed to the org, and go on where they were', async () => {
    const [org, other] = world.orgs;
    const reader = await world.asUser(service, ['read']);
    const { publicKey, seed } = createNodeKey();
    const open = () => reader.openSubscription({ name: 'plain', what: 'receipts', from: 'all', publicKey });
    await told(publisher, other, 'n_1', 'not yours');
    await told(publisher, org, 'n_1', 'first');
    const opened = await open();
    const { userJwt, userJwtExpiresAtMs, jetstreamDomain, resumed } = opened;
    assert.deepEqual([userJwt, userJwtExpiresAtMs, jetstreamDomain, resumed], ['', 0, '', false]);
    const broker = await follow(opened, seed);
    const [first] = await take(broker, opened, 1);
    assert.deepEqual(texts([first!]), ['first']);
    first!.ack();
    await eventually(async () => (await reader.listSubscriptions({})).subscriptions[0]!.ackPending === 0);
    await told(publisher, org, 'n_1', 'second');
    const again = await open();
    assert.deepEqual([again.resumed, again.subscription!.pending], [true, 1]);
    assert.deepEqual(texts(await take(broker, again, 1)), ['second']);
    await broker.close();
  });

  it('end by taking the place away: closed, by another key, or with the API key and the person', async () => {
    const [org] = world.orgs;
    const there = async (name: string) =>
      (await publisher.consumers.info('RECEIPTS', `sub-${org}-${name}`)) !== undefined;
    const client = (key: string) => world.asUser(service, ['read'], org, key);
    const open = async (name: string, key: string, { publicKey } = createNodeKey()) =>
      (await client(key)).openSubscription({ name, what: 'receipts', publicKey });
    const mine = createNodeKey();
    await open('closed', 'k_stays', mine);
    await (await client('k_stays')).closeSubscription({ name: 'closed', what: 'receipts' });
    assert.equal(await there('closed'), false);
    assert.equal(await reasonOf(open('closed', 'k_stays', mine)), 'SUBSCRIBER_KEY_USED');
    assert.equal((await open('closed', 'k_stays')).resumed, false);
    const before = createNodeKey();
    await open('rekeyed', 'k_stays', before);
    assert.equal((await open('rekeyed', 'k_stays')).resumed, true);
    assert.equal(await reasonOf(open('rekeyed', 'k_stays', before)), 'SUBSCRIBER_KEY_USED');
    await open('lost', 'k_lost');
    const revocations = [{ kind: 'key', subject: 'k_lost', issuedUntilMs: 1 }];
    await world.publish({ org, version: 1, revocations });
    await eventually(async () => !(await there('lost')));
    assert.ok((await there('rekeyed')) && (await there('closed')));
    await world.publish({ org, version: 2, departed: [{ user: 'u_test', atMs: Date.now() }] });
    await eventually(async () => !(await there('rekeyed')) && !(await there('closed')));
  });
});
