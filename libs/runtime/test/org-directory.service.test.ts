// Goal: what org publishes decides within a moment whose tokens a running service takes, whatever happens to the server.
// Method: a gRPC service on a real nats-server; the test writes the states as org would; the server is killed and started
// again, and the bucket is lost and made anew.

import { strict as assert } from 'node:assert';
import { type Broker, connectBroker } from '@fleetwire/broker';
import { ORGS_BUCKET } from '@fleetwire/contract';
import { OrgState } from '@fleetwire/gen/access';
import { encode } from '@fleetwire/gen/encode';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { createTokenSigner, ensureKeys } from '@fleetwire/identity';
import { type FleetwireError, newId } from '@fleetwire/kernel';
import { bindService, createRpcClient, type RpcHandlers } from '@fleetwire/rpc';
import {
  bootstrapFabric,
  defineService,
  OrgDirectory,
  type RunningService,
  runService,
} from '@fleetwire/runtime';
import { eventually, silentLog as log, startTestNats, type TestNats, tempFolder } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';

const service = defineService({
  name: 'registry',
  config: {},
  broker: { streams: [] },
  wire: () => {
    const fine = async () => ({});
    const handlers = Object.fromEntries(Object.keys(NodeServiceDefinition.methods).map((key) => [key, fine]));
    return {
      rpc: [bindService(NodeServiceDefinition, handlers as unknown as RpcHandlers<NodeServiceDefinition>)],
    };
  },
});

describe('the directory of orgs', function () {
  this.timeout(60_000);
  const stack = new AsyncDisposableStack();
  let nats: TestNats;
  let broker: Broker;
  let keysDir: string;
  let running: RunningService;

  before(async () => {
    nats = stack.use(await startTestNats());
    keysDir = stack.use(tempFolder('orgs')).path;
    await ensureKeys(keysDir, { services: ['org', 'registry'] });
    await bootstrapFabric({ natsUrls: [nats.url], singleTenant: true, partitions: 1 });
    broker = await connectBroker({ urls: [nats.url], name: 'org', waitMs: 5000 });
    stack.defer(() => broker.close());
    const overrides = { nats: { url: nats.url, single_tenant: true }, keys: { dir: keysDir } };
    running = await runService(service, { env: {}, overrides, logStream: { write: () => undefined } });
    stack.defer(() => running.stop());
  });
  after(() => stack.disposeAsync());

  async function publish(state: Partial<OrgState> & { org: string }): Promise<void> {
    const bucket = await broker.bucket(ORGS_BUCKET);
    await bucket.put(state.org, encode(OrgState, OrgState.fromPartial({ status: 'active', ...state })));
  }

  /** Calls with one token again and again: the reason of the refusal, or none. */
  async function caller(claims: { sub: string; org: string; scopes: string[]; key?: string }, by = 'org') {
    const signer = await createTokenSigner(keysDir, by);
    const { token } = await signer.sign({ lifetimeMs: 3_600_000, ...claims });
    const client = createRpcClient(NodeServiceDefinition, {
      address: running.address,
      token: () => token,
    });
    stack.defer(() => client.close());
    return () =>
      client.nodeStatus({}).then(
        () => 'none',
        (error: FleetwireError) => `${error.kind} ${error.reason}`,
      );
  }
  const figures = () => running.health()['orgs'] as OrgDirectory['figures'];

  it('makes a running service refuse a token that it remembers, and no other', async () => {
    const org = newId('org');
    const alice = await caller({ sub: 'u_alice', org, scopes: ['read'], key: 'k_1' });
    const bob = await caller({ sub: 'u_bob', org, scopes: ['read'], key: 'k_2' });
    const stranger = await caller({ sub: 'u_alice', org: newId('org'), scopes: ['read'], key: 'k_1' });
    for (const each of [alice, alice, bob, stranger]) assert.equal(await each(), 'none');
    const issuedUntilMs = Date.now() + 1000;
    await publish({ org, version: 1, revocations: [{ kind: 'key', subject: 'k_1', issuedUntilMs }] });
    await eventually(async () => (await alice()) === 'unauthenticated TOKEN_REVOKED');
    assert.equal(await bob(), 'none');
    assert.equal(await stranger(), 'none');
    await publish({ org, version: 2, revocations: [{ kind: 'user', subject: 'u_bob', issuedUntilMs }] });
    await eventually(async () => (await bob()) === 'unauthenticated TOKEN_REVOKED');
  });

  it('refuses people and nodes of an org whose deletion has begun, and takes them again once it is restored', async () => {
    const org = newId('org');
    const user = await caller({ sub: 'u_1', org, scopes: ['admin'] });
    const node = await caller({ sub: 'n_1', org, scopes: ['node'] }, 'registry');
    const other = await caller({ sub: 'org', org: '', scopes: ['service'] });
    assert.deepEqual([await user(), await node()], ['none', 'none']);
    await publish({ org, version: 1, status: 'deleting', deletion: 1 });
    await eventually(async () => (await node()) === 'unauthenticated ORG_CLOSED');
    assert.equal(await user(), 'unauthenticated ORG_CLOSED');
    assert.equal(await other(), 'none');
    await publish({ org, version: 2, deletion: 1 });
    await eventually(async () => (await node()) === 'none');
    assert.equal(await user(), 'none');
  });

  it('never goes back to an older version, nor over what cannot be read or is gone', async () => {
    const org = newId('org');
    const directory = new OrgDirectory(log);
    const told: number[] = [];
    directory.onChange(({ state, version }) => state.org === org && told.push(version));
    await publish({ org, version: 5, plan: 'pro' });
    await directory.open(broker);
    assert.equal(directory.get(org)?.state.plan, 'pro');
    const user = await caller({ sub: 'u_1', org, scopes: ['read'] });
    await publish({ org, version: 6, status: 'deleting', deletion: 1 });
    // The service has its own watch, which may be behind ours.
    await eventually(async () => (await user()) === 'unauthenticated ORG_CLOSED');
    await eventually(() => directory.get(org)?.version === 6);
    const before = figures();
    const bucket = await broker.bucket(ORGS_BUCKET);
    await publish({ org, version: 4, plan: 'free' });
    // One after the other: of what is written to one key in quick succession a watch may see only the last.
    await bucket.put(org, new Uint8Array([0xff, 0xff]));
    await eventually(() => figures().unreadable === before.unreadable + 1);
    await bucket.put(org, encode(OrgState, OrgState.fromPartial({ org: 'o_other', version: 9 })));
    await eventually(() => figures().unreadable === before.unreadable + 2);
    await bucket.delete(org);
    await publish({ org, version: 7, plan: 'team', deletion: 1 });
    await eventually(() => directory.get(org)?.version === 7);
    assert.deepEqual(told, [5, 6, 7]);
    assert.equal(figures().orgs, before.orgs);
    directory.close();
  });

  it('goes on after the server was killed, and knows what changed meanwhile', async () => {
    const org = newId('org');
    const user = await caller({ sub: 'u_1', org, scopes: ['read'] });
    await publish({ org, version: 1 });
    await eventually(() => figures().orgs > 0);
    await nats.kill();
    assert.equal(await user(), 'none');
    await nats.restart();
    await eventually(() => broker.connected());
    const revocations = [{ kind: 'org', subject: '', issuedUntilMs: Date.now() + 1000 }];
    await publish({ org, version: 2, revocations });
    await eventually(async () => (await user()) === 'unauthenticated TOKEN_REVOKED', { timeoutMs: 20_000 });
  });

  it('keeps what it knows when the bucket is lost, and follows the new one', async () => {
    const [old, young] = [newId('org'), newId('org')];
    const user = await caller({ sub: 'u_1', org: old, scopes: ['read'] });
    const newcomer = await caller({ sub: 'u_2', org: young, scopes: ['read'] });
    const revocations = [{ kind: 'org', subject: '', issuedUntilMs: Date.now() + 1000 }];
    await publish({ org: old, version: 7, revocations });
    await eventually(async () => (await user()) === 'unauthenticated TOKEN_REVOKED');
    await broker.request(`$JS.API.STREAM.DELETE.KV_${ORGS_BUCKET.name}`, new Uint8Array(), 5000);
    await broker.ensureBucket(ORGS_BUCKET, 1);
    await publish({ org: old, version: 3 });
    await publish({ org: young, version: 1, revocations });
    await eventually(async () => (await newcomer()) === 'unauthenticated TOKEN_REVOKED', {
      timeoutMs: 40_000,
    });
    assert.equal(await user(), 'unauthenticated TOKEN_REVOKED');
  });

  it('is waited for: a fabric that has no such bucket yet is not served', async () => {
    await using empty = await startTestNats();
    await bootstrapFabric({ natsUrls: [empty.url], singleTenant: true, partitions: 1 });
    const before = await connectBroker({ urls: [empty.url], name: 'test', waitMs: 5000 });
    await before.request(`$JS.API.STREAM.DELETE.KV_${ORGS_BUCKET.name}`, new Uint8Array(), 5000);
    await before.close();
    const overrides = {
      nats: { url: empty.url, single_tenant: true },
      keys: { dir: keysDir },
      lifecycle: { wait_ms: 100 },
    };
    const start = runService(service, { env: {}, overrides, logStream: { write: () => undefined } });
    await assert.rejects(start, { reason: 'BUCKET_MISSING' });
  });
});
