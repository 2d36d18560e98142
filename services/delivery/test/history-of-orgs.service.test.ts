/**
 * Goal: delivery as it runs keeps of each org's messages what the org has chosen, makes texts searchable by itself, and after
 * PostgreSQL was away shows how far it is behind until it is not. Method: a real nats-server and PostgreSQL, which is stopped
 * and started; orgs publish their choice as org would; the service is asked over gRPC.
 */

import assert from 'node:assert/strict';
import { type Broker, connectBroker } from '@fleetwire/broker';
import { ORGS_BUCKET } from '@fleetwire/contract';
import { OrgState } from '@fleetwire/gen/access';
import { DeliveryServiceDefinition } from '@fleetwire/gen/delivery';
import { type Envelope, Stage } from '@fleetwire/gen/message';
import { createTokenSigner, ensureKeys } from '@fleetwire/identity';
import { newId } from '@fleetwire/kernel';
import { createRpcClient } from '@fleetwire/rpc';
import { bootstrapFabric, type RunningService } from '@fleetwire/runtime';
import { openStore } from '@fleetwire/store';
import { eventually, startOwnPostgres, startTestNats, tempFolder } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import type { ProgressFigures } from '../src/domain/progress.ts';
import { start } from '../src/service.ts';
import * as sample from './sample-traffic.ts';

const SIZING = { ingress_max_bytes: 64 * 1024 * 1024, inbox_max_bytes: 64 * 1024 * 1024 };

describe('delivery for orgs', function () {
  this.timeout(120_000);
  const stack = new AsyncDisposableStack();
  let postgres: Awaited<ReturnType<typeof startOwnPostgres>>;
  let broker: Broker;
  let keysDir: string;
  let service: RunningService;
  let published = 0;

  before(async () => {
    const nats = stack.use(await startTestNats());
    postgres = stack.use(await startOwnPostgres({}));
    broker = await connectBroker({ urls: [nats.url], name: 'test', waitMs: 5000 });
    stack.defer(() => broker.close());
    await bootstrapFabric({ natsUrls: [nats.url], singleTenant: true, partitions: 1, sizing: SIZING });
    await broker.consumers.remove('INGRESS', 'router-p0-e0');
    keysDir = stack.use(tempFolder('keys')).path;
    await ensureKeys(keysDir, { services: ['org', 'registry', 'router', 'delivery'] });
    service = await start({
      env: {},
      overrides: {
        common: { instance: 'one', log_level: 'silent' },
        nats: { url: nats.url, single_tenant: true },
        database: { url: postgres.url, pool_max: 4 },
        keys: { dir: keysDir },
        delivery: {
          sweep_interval_ms: 100,
          retry_max_ms: 200,
          flush_ms: 20,
          search_idle_ms: 20,
          backlog_interval_ms: 50,
          backlog_behind: 10,
        },
      },
    });
    stack.defer(() => service.stop());
  });
  after(() => stack.disposeAsync());

  const put = (subject: string, payload: Uint8Array) =>
    broker.store(subject, payload, { msgId: `test-${published++}` });

  const putHistory = (org: string, messages: Envelope[]) =>
    put(sample.ingressSubjectOf(org), sample.ingressPack(messages));

  async function clientOf(org: string) {
    const signer = await createTokenSigner(keysDir, 'org');
    const { token } = await signer.sign({ sub: newId('user'), org, scopes: [], lifetimeMs: 3_600_000 });
    const client = createRpcClient(DeliveryServiceDefinition, {
      address: service.address,
      token: () => token,
    });
    stack.defer(() => client.close());
    return client;
  }

  /** Published, and known to the service. */
  async function choose(org: string, version: number, history: string): Promise<void> {
    const state = OrgState.fromPartial({ org, version, status: 'active', history });
    const before = (service.health()['orgs'] as { orgs: number }).orgs;
    await (await broker.bucket(ORGS_BUCKET)).put(org, OrgState.encode(state).finish());
    if (version === 1) await eventually(() => (service.health()['orgs'] as { orgs: number }).orgs > before);
  }

  const progress = (consumer: string) =>
    (service.health()['backlog'] as Record<string, ProgressFigures>)[consumer]!;

  it('keeps bodies, all but bodies, or nothing but what became of messages', async () => {
    const text = 'the launch code is swordfish';
    const sent: Record<string, Envelope> = {};
    const orgs = { full: newId('org'), metadata: newId('org'), off: newId('org'), unknown: newId('org') };
    for (const [mode, org] of Object.entries(orgs)) {
      await sample.putRoutes(broker, org);
      if (mode !== 'unknown') await choose(org, 1, mode);
      const message = sample.envelope({ org, contentType: 'text/plain', body: Buffer.from(text) });
      sent[mode] = message;
      await putHistory(org, [message]);
      const receipts = sample.receiptBatch([sample.receiptFor(message, Stage.CONFIRMED)]);
      await put(sample.receiptSubjectOf(org), receipts);
    }
    const seen: Record<string, unknown> = {};
    for (const [mode, org] of Object.entries(orgs)) {
      const client = await clientOf(org);
      const { id } = sent[mode]!;
      const arrived = async () => {
        const { message } = await client.getMessage({ id });
        const settled = message?.settlements[0]?.stage === Stage.CONFIRMED;
        return settled && message.bodyMissing !== 'PENDING' ? message : undefined;
      };
      await eventually(async () => (await arrived().catch(() => undefined)) !== undefined);
      const message = (await arrived())!;
      const { contentType, body, bodyMissing, bodyBytes } = message;
      const { hops } = await client.traceMessage({ id });
      if (mode === 'full')
        await eventually(async () => (await client.listMessages({ text })).messages.length === 1);
      const listed = (await client.listMessages({})).messages.length;
      const found = (await client.listMessages({ text: 'swordfish' })).messages.length;
      seen[mode] = [
        contentType,
        Buffer.from(body).toString(),
        bodyMissing,
        bodyBytes,
        listed,
        found,
        hops.length,
      ];
    }
    assert.deepEqual(seen, {
      full: ['text/plain', text, '', text.length, 1, 1, 5],
      metadata: ['text/plain', '', 'METADATA', text.length, 1, 0, 5],
      off: ['', '', 'OFF', 0, 0, 0, 5],
      unknown: ['text/plain', text, '', text.length, 1, 1, 5],
    });
    const options = { url: postgres.url, schema: 'delivery', entities: [], migrations: [], poolMax: 2 };
    const store = await openStore({ ...options, applicationName: 'test' });
    stack.defer(() => store.close());
    for (const mode of ['metadata', 'off'] as const) {
      const rows = await store.query(
        `select 1 as one from messages where org = $1 and position('swordfish'::bytea in envelope) > 0`,
        [orgs[mode]],
      );
      assert.deepEqual([mode, rows], [mode, []]);
    }
    // What was used is counted whatever is kept.
    const used = await store.query<{ messages: number }>(
      'select messages from usage_days where org = any($1)',
      [Object.values(orgs)],
    );
    assert.deepEqual(
      used.map(({ messages }) => messages),
      [1, 1, 1, 1],
    );
  });

  it('goes by a new choice for what comes from then on', async () => {
    const org = newId('org');
    await sample.putRoutes(broker, org);
    await choose(org, 1, 'full');
    const client = await clientOf(org);
    const body = Buffer.from('here');
    const [first, second] = [sample.envelope({ org, body }), sample.envelope({ org, body })];
    const missing = async ({ id }: Envelope) =>
      (await client.getMessage({ id }).catch(() => undefined))?.message?.bodyMissing;
    await putHistory(org, [first]);
    await eventually(async () => (await missing(first)) === '');
    await choose(org, 2, 'metadata');
    await eventually(async () => {
      const probe = sample.envelope({ org, body });
      await putHistory(org, [probe]);
      await eventually(async () => (await missing(probe)) !== undefined);
      return (await missing(probe)) === 'METADATA';
    });
    await putHistory(org, [second]);
    await eventually(async () => (await missing(second)) === 'METADATA');
    assert.equal(await missing(first), '');
  });

  it('shows how far it is behind while PostgreSQL is away and until it has caught up', async () => {
    const org = newId('org');
    const client = await clientOf(org);
    await postgres.kill();
    const packs = 40;
    const sent: Envelope[] = [];
    for (let i = 0; i < packs; i++) {
      const pack = Array.from({ length: 5 }, () => sample.envelope({ org }));
      sent.push(...pack);
      await putHistory(org, pack);
      await put(
        sample.receiptSubjectOf(org),
        sample.receiptBatch(pack.map((m) => sample.receiptFor(m, Stage.HELD))),
      );
    }
    for (const consumer of ['delivery-history', 'delivery-receipts']) {
      await eventually(() => progress(consumer).waiting >= packs);
      assert.equal(progress(consumer).seconds_left === 0, false);
    }
    await eventually(async () => {
      const { consumers } = await client.getProgress({});
      const history = consumers.find(({ consumer }) => consumer === 'delivery-history')!;
      return history.stalled && history.waiting >= packs;
    });
    await postgres.restart();
    for (const consumer of ['delivery-history', 'delivery-receipts'])
      await eventually(() => progress(consumer).waiting === 0 && progress(consumer).seconds_left === 0, {
        timeoutMs: 60_000,
      });
    await eventually(async () => {
      const { consumers } = await client.getProgress({});
      return consumers.every(
        ({ waiting, stalled, secondsLeft }) => waiting === 0 && !stalled && secondsLeft === 0,
      );
    });
    assert.equal((await client.listMessages({ pageSize: 500 })).messages.length, sent.length);
  });
});
