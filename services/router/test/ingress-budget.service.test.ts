/**
 * Goal: while PostgreSQL is away, the nodes of an org that fills ingress are told to stop, the others are not; an org that is
 * alone may fill it.
 * Method: a server with accounts, a router with its own rights only, a small ingress stream; nothing acknowledges for
 * history, so it keeps all.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type Broker, connectBroker } from '@fleetwire/broker';
import { DELIVERY_HISTORY, ingressSubject, ORGS_BUCKET, peerSubject } from '@fleetwire/contract';
import { OrgState } from '@fleetwire/gen/access';
import { type PeerBusy, PeerFrame } from '@fleetwire/gen/message';
import { ensureKeys } from '@fleetwire/identity';
import { pause } from '@fleetwire/kernel';
import { bootstrapFabric, type RunningService } from '@fleetwire/runtime';
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

const WATCH_MS = 100;
const KiB = 1024;
const INGRESS_BYTES = 4096 * KiB;
const GREEDY = { org: 'o_greedy0000000000', node: 'n_greedy', partition: 0 };
const BESIDE = { ...GREEDY, node: 'n_beside', partition: 1 };
const MODEST = { org: 'o_modest0000000000', node: 'n_modest', partition: 0 };
type Place = typeof GREEDY;

describe('an org that fills ingress', function () {
  this.timeout(60_000);
  let closing: AsyncDisposableStack;
  let broker: Broker;
  let running: RunningService;
  let sent: number;
  const told: { readonly node: string; readonly busy: PeerBusy }[] = [];

  beforeEach(async () => {
    await using building = new AsyncDisposableStack();
    const keysDir = join(building.use(tempFolder('router')).path, 'keys');
    await ensureKeys(keysDir, { orgSlug: 'acme', services: ['org', 'registry', 'router'] });
    const { url } = building.use(await startTestNats({ config: operatorMode(keysDir) }));
    const sizing = { ...SMALL_STREAMS, ingress_max_bytes: INGRESS_BYTES };
    await bootstrapFabric({ keysDir, natsUrls: [url], sizing, partitions: 2 });
    broker = await connectBroker({ urls: [url], name: 'test', credsFile: await fabricUser(keysDir) });
    building.defer(() => broker.close());
    [told.length, sent] = [0, 0];
    for (const { org, node: to } of [GREEDY, BESIDE, MODEST])
      broker.subscribe(peerSubject.build({ org, to, from: 'router' }), ({ data }) => {
        told.push({ node: to, busy: PeerFrame.decode(data).busy! });
      });
    const env = {
      FLEETWIRE_NATS_URL: url,
      FLEETWIRE_KEYS_DIR: keysDir,
      FLEETWIRE_INSTANCE: 'one',
      FLEETWIRE_LOG_LEVEL: 'error',
      FLEETWIRE_ROUTER_SHARE_INTERVAL_MS: '200',
      FLEETWIRE_ROUTER_INGRESS_WATCH_MS: String(WATCH_MS),
    };
    running = await start({ env });
    building.defer(() => running.stop());
    closing = building.move();
  });
  afterEach(() => closing.disposeAsync());

  async function orgIs(org: string): Promise<void> {
    const state = OrgState.encode(OrgState.fromPartial({ org, version: 1, status: 'active' })).finish();
    await (await broker.bucket(ORGS_BUCKET)).put(org, state);
  }

  /** Messages that routers skip: they are here for the room that they take. */
  async function send(from: Place, count: number, bytes: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      const id = idOf(++sent);
      const body = new Uint8Array(bytes);
      const { org, node: fromNode } = from;
      const pack = packOf([{ id, org, fromNode, local: true, localAgent: 'a_alice', body }]);
      await broker.store(ingressSubject.build(from), pack, { msgId: id });
    }
  }

  const figures = () => running.health()['ingress'] as { percent: number; over_budget: number };
  const percent = async () => ((await broker.streams.state('INGRESS'))!.bytes * 100) / INGRESS_BYTES;

  it('is told to stop, by each of its nodes, and another that sends more but smaller messages is not', async () => {
    for (const { org } of [GREEDY, MODEST]) await orgIs(org);
    await eventually(() => (running.health()['orgs'] as { orgs: number }).orgs === 2);
    await send(MODEST, 200, KiB);
    await send(BESIDE, 1, 64 * KiB);
    while ((await percent()) < 45) await send(GREEDY, 1, 64 * KiB);
    await pause(3 * WATCH_MS);
    assert.equal(told.length, 0);
    while ((await percent()) < 85) await send(GREEDY, 1, 64 * KiB);
    const of = (place: Place) => told.filter(({ node }) => node === place.node);
    await eventually(() => of(GREEDY).length > 3 && of(BESIDE).length > 3);
    assert.deepEqual(of(MODEST), []);
    for (const { agent, reason, retryAfterMs } of told.map(({ busy }) => busy))
      assert.deepEqual([agent, reason, retryAfterMs], ['', 'ingress_budget', 3 * WATCH_MS]);
    const seqs = of(GREEDY).map(({ busy }) => busy.seq);
    assert.ok(seqs.every((seq, i) => i === 0 || seq > seqs[i - 1]!));
    assert.equal(figures().over_budget, 1);
    // What held it is back.
    await broker.consumers.remove('INGRESS', DELIVERY_HISTORY.durable_name);
    await eventually(async () => (await percent()) < 50 && figures().over_budget === 0);
    const before = told.length;
    await pause(5 * WATCH_MS);
    assert.equal(told.length, before);
  });

  it('may do so while it is alone', async () => {
    await orgIs(GREEDY.org);
    await send(GREEDY, 50, 64 * KiB);
    await pause(10 * WATCH_MS);
    assert.equal(told.length, 0);
    await orgIs(MODEST.org);
    await eventually(() => told.length > 0);
    assert.equal(told[0]!.node, GREEDY.node);
  });
});
