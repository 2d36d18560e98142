// Goal: services prove who they are to NATS and to each other by the keys folder, and believe nobody else.
// Method: a nats-server in operator mode with keys as `fleetwire up` makes them; two services, the one calling the other.

import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { type Caller, ensureKeys } from '@fleetwire/identity';
import { bindService, createRpcClient, type RpcContext, type RpcHandlers } from '@fleetwire/rpc';
import { bootstrapFabric, defineService, runService, type ServiceContext } from '@fleetwire/runtime';
import { operatorMode, startTestNats, tempFolder } from '@fleetwire/testkit';
import { describe, it } from 'mocha';

function telling(name: string, seen: { context?: ServiceContext } = {}) {
  return defineService({
    name,
    config: {},
    broker: { streams: ['EVENTS'] },
    wire(context) {
      seen.context = context;
      const who = async (_request: unknown, { caller }: RpcContext<Caller>) => ({
        name: caller!.kind,
        org: caller!.org,
        node: caller!.subject,
      });
      const handlers = Object.fromEntries(
        Object.keys(NodeServiceDefinition.methods).map((key) => [key, who]),
      );
      return {
        rpc: [bindService(NodeServiceDefinition, handlers as unknown as RpcHandlers<NodeServiceDefinition>)],
      };
    },
  });
}

describe('services with keys', function () {
  this.timeout(60_000);

  it('reach NATS by their credentials and each other by their tokens', async () => {
    await using folder = tempFolder('identity');
    const keysDir = join(folder.path, 'keys');
    await ensureKeys(keysDir, { orgSlug: 'acme', services: ['org', 'registry'] });
    await using nats = await startTestNats({
      config: operatorMode(keysDir),
    });
    const record = await bootstrapFabric({ keysDir, natsUrls: [nats.url], partitions: 3 });
    const logStream = { write: () => undefined };
    const overrides = { nats: { url: nats.url }, keys: { dir: keysDir } };
    const seen: { context?: ServiceContext } = {};
    const org = await runService(telling('org', seen), { env: {}, overrides, logStream });
    const registry = await runService(telling('registry'), { env: {}, overrides, logStream });
    const context = seen.context!;
    assert.deepEqual(context.fabric, record);
    assert.equal(context.broker.connected(), true);
    assert.ok(Math.abs(context.clock.nowUs() / 1000 - Date.now()) < 60_000);

    const client = context.client(NodeServiceDefinition, { address: registry.address });
    const { name, org: ofOrg, node } = await client.nodeStatus({});
    assert.deepEqual([name, ofOrg, node], ['service', '', 'org']);

    const stranger = createRpcClient(NodeServiceDefinition, { address: registry.address });
    await assert.rejects(stranger.nodeStatus({}), { reason: 'TOKEN_MISSING' });
    await assert.rejects(stranger.nodeStatus({}, { token: 'made.up.token' }), { kind: 'unauthenticated' });
    const claims = { sub: 'u_1', org: 'o_1', scopes: ['admin'], lifetimeMs: 60_000 };
    const { token } = await context.tokens.sign(claims);
    const user = await stranger.nodeStatus({}, { token });
    assert.deepEqual([user.name, user.org, user.node], ['user', 'o_1', 'u_1']);
    stranger.close();
    await Promise.all([org.stop(), registry.stop()]);
    await assert.rejects(client.nodeStatus({}), 'clients close with their service');
  });

  it('say that the keys are missing', async () => {
    await using folder = tempFolder('identity');
    const overrides = { keys: { dir: folder.path } };
    const logStream = { write: () => undefined };
    await assert.rejects(runService(telling('org'), { env: {}, overrides, logStream }), {
      kind: 'failed_precondition',
      reason: 'KEYS_MISSING',
    });
  });
});
