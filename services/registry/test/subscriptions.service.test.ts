/**
 * Goal: a program follows a stream of its org, goes on where it was, has rights for nothing else.
 * Method: two replicas on a server in operator mode; programs with the credentials that they were given.
 */

import assert from 'node:assert/strict';
import type { Broker } from '@fleetwire/broker';
import {
  eventSubject,
  LEASES_BUCKET,
  messageEventSubject,
  nodeConsumer,
  receiptSubject,
} from '@fleetwire/contract';
import type { OpenSubscriptionRequest } from '@fleetwire/gen/registry';
import { createNodeKey } from '@fleetwire/identity';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { errorOf, type RegistryClient, type RegistryWorld, reasonOf, startRegistryWorld } from './fixture.ts';
import { follow, gone, take, told as tell, texts } from './subscriber-rig.ts';

const SETTINGS = { look_ms: 50, subscriptions_max: 6, credentials_ttl_s: 3600 };

describe('subscriptions', function () {
  this.timeout(90_000);
  let world: RegistryWorld;
  let one: RunningService;
  let two: RunningService;
  let admin: RegistryClient;
  let reader: RegistryClient;
  let publisher: Broker;
  let org: string;
  before(async () => {
    world = await startRegistryWorld();
    [one, two] = await Promise.all([world.start(SETTINGS), world.start(SETTINGS)]);
    org = world.orgs[0];
    admin = await world.asUser(two, ['admin']);
    reader = await world.asUser(one, ['read'], org, 'k_reader');
    publisher = await world.broker();
  });
  after(() => world?.[Symbol.asyncDispose]());

  type Asked = Partial<OpenSubscriptionRequest>;
  const key = createNodeKey();
  const receipts = (asked: Asked = {}) => {
    const request = { name: 'billing', what: 'receipts', from: 'all', publicKey: key.publicKey, ...asked };
    return reader.openSubscription(request);
  };
  const told = (node: string, text: string, of = org) => tell(publisher, of, node, text);

  it('give what is in the stream of the org, and go on behind what was acknowledged, by every replica', async () => {
    await told('n_1', 'first');
    await told('n_1', 'not yours', world.orgs[1]);
    await told('n_2', 'second');
    const opened = await receipts();
    assert.equal(opened.resumed, false);
    assert.equal(opened.subscription!.pending, 2);
    const broker = await follow(opened, key.seed);
    const [first, second] = await take(broker, opened, 2);
    assert.deepEqual(texts([first!, second!]), ['first', 'second']);
    first!.ack();
    await eventually(async () => (await reader.listSubscriptions({})).subscriptions[0]!.ackPending === 1);
    second!.ack();
    await eventually(async () => (await reader.listSubscriptions({})).subscriptions[0]!.ackPending === 0);
    await broker.close();
    await told('n_1', 'third');
    // With a new client of another replica and the same key; what it asks for besides is decided already.
    const other = await world.asUser(two, ['read'], org, 'k_reader');
    const again = await other.openSubscription({
      name: 'billing',
      what: 'receipts',
      from: 'new',
      publicKey: key.publicKey,
      ttlS: 60,
    });
    assert.equal(again.resumed, true);
    assert.ok(again.userJwtExpiresAtMs < Date.now() + 61_000);
    const back = await follow(again, key.seed);
    const [third] = await take(back, again, 1);
    assert.equal(texts([third!])[0], 'third');
    third!.ack();
    await back.close();
  });

  it('are for one consumer: nothing else can be read, made, said or heard', async () => {
    const broker = await follow(await receipts(), key.seed);
    const otherOrg = await world.asUser(one, ['admin'], world.orgs[1]);
    const mallory = createNodeKey();
    const theirs = await otherOrg.openSubscription({
      name: 'billing',
      what: 'receipts',
      from: 'all',
      publicKey: mallory.publicKey,
    });
    assert.notEqual(theirs.subscription!.consumer, (await receipts()).subscription!.consumer);
    const refused = async (work: Promise<unknown>) => assert.notEqual(await reasonOf(work), 'none');
    const info = (stream: 'RECEIPTS' | 'EVENTS' | 'INBOX', consumer: string) =>
      broker.consumers.info(stream, consumer);
    await refused(info('RECEIPTS', theirs.subscription!.consumer));
    await refused(info('RECEIPTS', 'delivery-receipts'));
    await refused(info('INBOX', nodeConsumer(0, org, 'n_1').durable_name));
    await refused(broker.consumers.remove('RECEIPTS', (await receipts()).subscription!.consumer));
    await refused(broker.streams.state('RECEIPTS'));
    await refused(broker.bucket(LEASES_BUCKET).then((bucket) => bucket.get('x')));
    const subject = receiptSubject.build({ org, toNode: 'n_1', from: 'router' });
    await refused(broker.store(subject, Buffer.from('forged'), { msgId: 'forged' }));
    const event = eventSubject.build({ org, service: 'org', name: 'x' });
    await refused(broker.store(event, Buffer.from('forged'), { msgId: 'forged-event' }));
    await assert.rejects(take(broker, theirs, 1), { reason: 'PULL_REFUSED' });
    await broker.close();
    await otherOrg.closeSubscription({ name: 'billing', what: 'receipts' });
  });

  it('of events are for admins, and are narrowed by service and name', async () => {
    const mine = createNodeKey();
    const asked = { name: 'alarms', what: 'events', from: 'all', publicKey: mine.publicKey };
    assert.equal(await reasonOf(reader.openSubscription(asked)), 'SCOPE_MISSING');
    const opened = await admin.openSubscription({ ...asked, service: 'delivery', event: 'overflow' });
    assert.match(opened.subscription!.filter, /^fw\.v1\.event\.o_\w+\.delivery\.overflow$/);
    for (const name of ['usage', 'overflow'])
      await publisher.store(eventSubject.build({ org, service: 'delivery', name }), Buffer.from(name), {
        msgId: name,
      });
    const broker = await follow(opened, mine.seed);
    assert.deepEqual(texts(await take(broker, opened, 1)), ['overflow']);
    await broker.close();
    assert.equal(
      await reasonOf(admin.openSubscription({ ...asked, service: 'delivery' })),
      'SUBSCRIPTION_DIFFERS',
    );
    const listed = await admin.listSubscriptions({});
    assert.deepEqual(
      listed.subscriptions.map(({ what, name }) => `${what} ${name}`),
      ['events alarms', 'receipts billing'],
    );
  });

  it('of messages are for admins, have none of the events, and are narrowed by name', async () => {
    const mine = createNodeKey();
    const asked = { name: 'said', what: 'messages', from: 'all', publicKey: mine.publicKey };
    assert.equal(await reasonOf(reader.openSubscription(asked)), 'SCOPE_MISSING');
    const opened = await admin.openSubscription({ ...asked, event: 'broadcast' });
    const { stream, filter } = opened.subscription!;
    assert.deepEqual([stream, filter], ['MESSAGES', `fw.v1.message.${org}.broadcast`]);
    for (const whose of [world.orgs[1], org])
      for (const name of ['message_sent', 'broadcast'])
        await publisher.store(
          messageEventSubject.build({ org: whose, name }),
          Buffer.from(`${whose} ${name}`),
          {
            msgId: `${whose} ${name}`,
          },
        );
    const broker = await follow(opened, mine.seed);
    const [first] = await take(broker, opened, 1);
    assert.deepEqual(texts([first!]), [`${org} broadcast`]);
    first!.ack();
    await broker.close();
    await admin.closeSubscription({ name: 'said', what: 'messages' });
    const ofService = { ...asked, service: 'delivery' };
    assert.equal(await reasonOf(admin.openSubscription(ofService)), 'INVALID_SUBSCRIPTION');
    // Where they once were: nobody is to wait there for what never comes.
    const once = { ...asked, what: 'events', event: 'message_sent' };
    assert.equal(await reasonOf(admin.openSubscription(once)), 'INVALID_SUBSCRIPTION');
  });

  it('begin at a moment, and are told of as events', async () => {
    const node = await world.node(one, 'laptop');
    await told(node.id, 'before');
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const mine = createNodeKey();
    const fromMs = Date.now() - 500;
    await told(node.id, 'after');
    await told('n_1', 'elsewhere');
    const opened = await reader.openSubscription({
      name: 'late',
      what: 'receipts',
      node: 'laptop',
      from: 'time',
      fromMs,
      publicKey: mine.publicKey,
    });
    const broker = await follow(opened, mine.seed);
    assert.deepEqual(texts(await take(broker, opened, 1)), ['after']);
    const out = gone(broker);
    await world.events('');
    await reader.closeSubscription({ name: 'late', what: 'receipts' });
    await out;
    await broker.close();
    const { consumer } = opened.subscription!;
    await eventually(async () =>
      (await world.events(consumer)).some((e) => e.name === 'subscription_closed'),
    );
    assert.equal(await publisher.consumers.info('RECEIPTS', consumer), undefined);
    assert.equal(
      await reasonOf(reader.closeSubscription({ name: 'late', what: 'receipts' })),
      'SUBSCRIPTION_UNKNOWN',
    );
    // The key is out for good.
    assert.notEqual(await reasonOf(follow(opened, mine.seed)), 'none');
    const again = { name: 'other', what: 'receipts', publicKey: mine.publicKey };
    assert.equal(await reasonOf(reader.openSubscription(again)), 'SUBSCRIBER_KEY_USED');
    const ofNode = { ...again, publicKey: node.publicKey };
    assert.equal(await reasonOf(reader.openSubscription(ofNode)), 'SUBSCRIBER_KEY_USED');
  });

  it('another key takes the place of the one before, whose holder is out', async () => {
    const old = createNodeKey();
    const fresh = createNodeKey();
    const open = (publicKey: string) =>
      reader.openSubscription({ name: 'rekeyed', what: 'receipts', publicKey });
    const broker = await follow(await open(old.publicKey), old.seed);
    const out = gone(broker);
    const opened = await open(fresh.publicKey);
    assert.equal(opened.resumed, true);
    await out;
    await broker.close();
    await (await follow(opened, fresh.seed)).close();
    assert.equal(await reasonOf(open(old.publicKey)), 'SUBSCRIBER_KEY_USED');
  });

  it('refuse what makes no sense', async () => {
    const good = { name: 'x', what: 'receipts', publicKey: createNodeKey().publicKey };
    const cases: [Asked, string][] = [
      [{ name: 'A b' }, 'INVALID_SUBSCRIPTION'],
      [{ name: '' }, 'INVALID_SUBSCRIPTION'],
      [{ name: 'x'.repeat(33) }, 'INVALID_SUBSCRIPTION'],
      [{ name: 'a.>' }, 'INVALID_SUBSCRIPTION'],
      [{ what: 'ingress' }, 'INVALID_SUBSCRIPTION'],
      [{ what: 'toString' }, 'INVALID_SUBSCRIPTION'],
      [{ event: 'x' }, 'INVALID_SUBSCRIPTION'],
      [{ from: 'yesterday' }, 'INVALID_SUBSCRIPTION'],
      [{ from: 'time' }, 'INVALID_SUBSCRIPTION'],
      [{ from: 'time', fromMs: Number.MAX_SAFE_INTEGER }, 'INVALID_SUBSCRIPTION'],
      [{ publicKey: 'U123' }, 'SUBSCRIBER_KEY_INVALID'],
      [{ publicKey: '' }, 'SUBSCRIBER_KEY_INVALID'],
      [{ node: 'nowhere' }, 'NODE_UNKNOWN'],
    ];
    for (const [asked, reason] of cases)
      assert.equal(
        await reasonOf(reader.openSubscription({ ...good, ...asked })),
        reason,
        JSON.stringify(asked),
      );
    const events = { ...good, what: 'events', service: '*' };
    assert.equal(await reasonOf(admin.openSubscription(events)), 'INVALID_SUBSCRIPTION');
    const stranger = await world.asUser(one, ['admin'], world.orgs[1]);
    assert.equal(
      await reasonOf(stranger.closeSubscription({ name: 'billing', what: 'receipts' })),
      'SUBSCRIPTION_UNKNOWN',
    );
    assert.equal(await reasonOf((await world.asUser(one, ['send'])).listSubscriptions({})), 'SCOPE_MISSING');
    const node = await world.node(one, 'desktop');
    assert.equal(await reasonOf(node.client.listSubscriptions({})), 'NOT_A_PERSON');
    await world.sql(`update subscriptions set owner = 'u_other' where name = 'billing'`);
    assert.equal(await reasonOf(receipts()), 'SUBSCRIPTION_TAKEN');
    await world.sql(`update subscriptions set owner = 'u_test' where name = 'billing'`);
    const opening = (i: number) =>
      reader.openSubscription({ ...good, name: `full-${i}`, publicKey: createNodeKey().publicKey });
    const error = await errorOf(
      (async () => {
        for (let i = 0; i < 10; i++) await opening(i);
      })(),
    );
    assert.deepEqual([error?.kind, error?.reason], ['resource_exhausted', 'SUBSCRIPTION_LIMIT']);
    // What nobody has followed for a day makes room.
    await world.sql(`update subscriptions set opened_at_ms = 1 where name = 'full-0'`);
    assert.equal(await reasonOf(opening(90)), 'SUBSCRIPTION_LIMIT');
    await publisher.consumers.remove('RECEIPTS', `sub-${org}-full-0`);
    assert.equal((await opening(91)).resumed, false);
    for (const { name, what } of (await reader.listSubscriptions({})).subscriptions)
      if (name.startsWith('full-')) await reader.closeSubscription({ name, what });
  });
});
