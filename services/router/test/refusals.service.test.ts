/**
 * Goal: what a router refuses is heard of where it should be: the sending node hears PEER_BUSY in its org's account, the audit
 * of denied messages, the sender of both.
 * Method: a server with accounts, a router with its own rights only, and a node's connection with a node's rights only.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type Broker, connectBroker } from '@fleetwire/broker';
import {
  EVENT_NAMES,
  eventSubject,
  filters,
  inboxSubject,
  ingressSubject,
  ORGS_BUCKET,
  peerSubject,
  ROUTES_BUCKET,
  routeKey,
} from '@fleetwire/contract';
import { OrgState, type PolicyRule } from '@fleetwire/gen/access';
import { Event } from '@fleetwire/gen/event';
import { type Envelope, PeerFrame, ReceiptBatch, Route, Stage } from '@fleetwire/gen/message';
import { createNodeKey, ensureKeys, loadOrgKeys, mintNodeUser, nodeInboxPrefix } from '@fleetwire/identity';
import { bootstrapFabric } from '@fleetwire/runtime';
import {
  eventually,
  fabricUser,
  operatorMode,
  SMALL_STREAMS,
  startTestNats,
  tempFolder,
} from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { start } from '../src/service.ts';
import { idOf, packOf } from './samples.ts';

const NODE = 'n_sender';
const SENDER = 'a_sender0000000000';

describe('what a router refuses', function () {
  this.timeout(90_000);
  let closing: AsyncDisposableStack;
  let org: string;
  let broker: Broker;
  let node: Broker;
  let keysDir: string;
  let url: string;
  const heard: { readonly subject: string; readonly frame: PeerFrame }[] = [];

  beforeEach(async () => {
    await using building = new AsyncDisposableStack();
    keysDir = join(building.use(tempFolder('router')).path, 'keys');
    const trust = await ensureKeys(keysDir, { orgSlug: 'acme', services: ['org', 'registry', 'router'] });
    org = trust.orgs[0]!.id;
    const nats = building.use(await startTestNats({ config: operatorMode(keysDir) }));
    url = nats.url;
    const sizing = { ...SMALL_STREAMS, inbox_max_msgs_per_subject: 1 };
    await bootstrapFabric({ keysDir, natsUrls: [url], sizing, partitions: 1 });
    closing = building.move();
    broker = await connect({ credsFile: await fabricUser(keysDir) });
    node = await connectNode();
    heard.length = 0;
    node.subscribe(filters.framesToNode(org, NODE), ({ subject, data }) => {
      heard.push({ subject, frame: PeerFrame.decode(data) });
    });
    await agent('sender', SENDER, NODE);
    for (const name of ['alice', 'bob']) await agent(name, `a_${name}`, 'n_laptop');
  });
  afterEach(() => closing.disposeAsync());

  async function connect(options: Omit<Parameters<typeof connectBroker>[0], 'urls' | 'name'>) {
    const made = await connectBroker({ urls: [url], name: 'test', ...options });
    closing.defer(() => made.close());
    return made;
  }

  /** With exactly the rights of the node, in its org's account. */
  async function connectNode(): Promise<Broker> {
    const { publicKey, seed } = createNodeKey();
    const signing = (await loadOrgKeys(keysDir)).own.get(org)!;
    const place = { org, node: NODE, partition: 0, shard: 0 };
    const { jwt } = await mintNodeUser({ signing, publicKey, lifetimeMs: 600_000, ...place });
    const credentials = () => ({ jwt, seed: new TextEncoder().encode(seed) });
    return connect({ credentials, inboxPrefix: nodeInboxPrefix(NODE) });
  }

  async function agent(name: string, id: string, home: string): Promise<void> {
    const value = Route.fromPartial({ agent: id, name, node: home, nodeName: home.slice(2), epoch: 1 });
    await (await broker.bucket(ROUTES_BUCKET)).put(routeKey(org, id), Route.encode(value).finish());
  }

  async function policy(...rules: Partial<PolicyRule>[]): Promise<void> {
    const one = { id: 'p_1', name: 'Quiet', level: 'org', rules: rules.map((r) => ({ agents: '*', ...r })) };
    const state = OrgState.fromPartial({ org, version: 1, status: 'active', policies: [one] });
    await (await broker.bucket(ORGS_BUCKET)).put(org, OrgState.encode(state).finish());
  }

  async function router(settings: Record<string, string> = {}): Promise<() => Promise<void>> {
    const env = {
      FLEETWIRE_NATS_URL: url,
      FLEETWIRE_KEYS_DIR: keysDir,
      FLEETWIRE_INSTANCE: 'one',
      FLEETWIRE_LOG_LEVEL: 'error',
      FLEETWIRE_ROUTER_SHARE_INTERVAL_MS: '200',
      ...settings,
    };
    const running = await start({ env });
    const stop = () => running.stop();
    closing.defer(stop);
    return stop;
  }

  /** As the node does it. */
  async function send(...mail: Partial<Envelope>[]): Promise<void> {
    const subject = ingressSubject.build({ partition: 0, org, node: NODE });
    const pack = packOf(mail.map((m) => ({ org, fromNode: NODE, fromAgent: SENDER, ...m })));
    await node.store(subject, pack, { msgId: mail[0]!.id! });
  }

  async function stored(stream: 'RECEIPTS' | 'EVENTS') {
    const { lastSequence } = (await broker.streams.state(stream))!;
    const all = [];
    for (let n = 1; n <= lastSequence; n++) all.push((await broker.messages.get(stream, n))!);
    return all;
  }
  const receipts = async () =>
    (await stored('RECEIPTS')).flatMap(({ data }) => ReceiptBatch.decode(data).receipts);
  const fromRouter = () => peerSubject.build({ org, to: NODE, from: 'router' });

  it('because an inbox is full is told to the node that sends there', async () => {
    await router({ FLEETWIRE_ROUTER_INBOX_FULL_RETRY_MS: '60000' });
    await send({ id: idOf(1) });
    await eventually(async () => (await broker.streams.state('INBOX'))!.lastSequence === 1);
    await send({ id: idOf(2) });
    await eventually(() => heard.length > 0);
    const [{ subject, frame }] = heard as [(typeof heard)[0]];
    const { agent: id, name, node: home, nodeName, reason, retryAfterMs, seq } = frame.busy!;
    assert.equal(subject, fromRouter());
    assert.deepEqual([id, name, home, nodeName], ['a_alice', 'alice', 'n_laptop', 'laptop']);
    assert.deepEqual([reason, retryAfterMs, seq > 0], ['inbox_full', 60_000, true]);
    await eventually(async () => (await receipts()).length === 1);
    await send({ id: idOf(3) });
    await eventually(async () => (await receipts()).length === 2);
    assert.deepEqual(new Set((await receipts()).map((r) => r.reason)), new Set(['INBOX_FULL']));
    await send({ id: idOf(4), to: 'bob' });
    // Else both may go in one pack, which the bound takes as one.
    const bob = inboxSubject.build({ shard: 0, org, node: 'n_laptop', agent: 'a_bob' });
    await eventually(() => broker.messages.lastBySubject('INBOX', bob));
    await send({ id: idOf(5), to: 'bob' });
    await eventually(() => heard.some((each) => each.frame.busy?.name === 'bob'));
    const names = heard.map((each) => each.frame.busy?.name);
    assert.deepEqual(names, ['alice', 'bob'], 'once in a period');
  });

  it('because of a policy is told to the sender and to the audit', async () => {
    await policy({ canMessage: { patterns: ['bob'] } });
    const stop = await router();
    await send({ id: idOf(1) }, { id: idOf(2), to: 'bob' });
    for (let n = 3; n < 20; n++) await send({ id: idOf(n) });
    await eventually(async () => (await receipts()).length === 18);
    const [told] = await receipts();
    assert.deepEqual([told!.reason, told!.stage, told!.recipient], ['MESSAGE_DENIED', Stage.DEAD, 'a_alice']);
    assert.match(told!.detail, /Quiet/);
    await eventually(async () => (await stored('EVENTS')).length === 1);
    await stop();
    const events = await stored('EVENTS');
    const expected = eventSubject.build({ org, service: 'router', name: EVENT_NAMES.denied });
    assert.deepEqual(new Set(events.map(({ subject }) => subject)), new Set([expected]));
    const said = events.map(({ data }) => Event.decode(data));
    assert.deepEqual(
      said.map(({ actor, target, details }) => [actor, target, details['action'], details['count']]),
      [
        [SENDER, 'a_alice', 'message', '1'],
        [SENDER, 'a_alice', 'message', '17'],
      ],
    );
    const { reason, policy: by, actor_name: from, target_name: to } = said[0]!.details;
    assert.deepEqual([reason, by, from, to], ['MESSAGE_DENIED', 'p_1', 'sender', 'alice']);
  });

  it('because of a limit goes back to the sender, and its node is told', async () => {
    await policy({ agents: 'sender', rateLimitPerMinute: 5 });
    await router({ FLEETWIRE_ROUTER_RATE_NODE_PER_S: '1', FLEETWIRE_ROUTER_RATE_NODE_BURST: '20' });
    const mail = (from: number, fromAgent: string) =>
      Array.from({ length: 20 }, (_, n) => ({ id: idOf(from + n), to: 'bob', fromAgent }));
    await send(...mail(1, SENDER));
    await eventually(async () => (await receipts()).length === 8);
    assert.equal(heard.length, 0, 'one agent does not hold up its node');
    await send(...mail(101, 'a_alice'));
    await eventually(() => heard.length > 0);
    assert.equal(heard[0]!.subject, fromRouter());
    const { agent: id, reason, retryAfterMs } = heard[0]!.frame.busy!;
    assert.deepEqual([id, reason, retryAfterMs > 0], ['', 'rate_limited', true]);
    await eventually(async () => (await receipts()).length >= 8 + 12 - 2);
    for (const { reason: why, stage } of await receipts())
      if (why !== 'INBOX_FULL') assert.deepEqual([why, stage], ['RATE_LIMITED', Stage.RETURNED]);
  });
});
