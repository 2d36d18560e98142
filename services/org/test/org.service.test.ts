/**
 * Goal: keys open what they should and nothing else, join tokens work once, and what is stored survives restarts of org and
 * of PostgreSQL. Method: replicas of the real service over gRPC on real servers.
 */

import assert from 'node:assert/strict';
import { createNodeKey, createTokenVerifier, hashSecret } from '@fleetwire/identity';
import { newId } from '@fleetwire/kernel';
import { openStore } from '@fleetwire/store';
import { eventually, startTestPostgres } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { entities } from '../src/store/entities.ts';
import { migrations } from '../src/store/migrations.ts';
import { seedOrg } from '../src/store/seed.ts';
import { type OrgWorld, reasonOf, startOrgWorld } from './fixture.ts';

type Running = Awaited<ReturnType<OrgWorld['start']>>;

describe('org', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  let one: Running;
  let two: Running;
  before(async () => {
    world = await startOrgWorld();
    [one, two] = await Promise.all([world.start(), world.start()]);
  });
  after(() => world?.[Symbol.asyncDispose]());

  it('makes the org, its owner and the first key once, though two replicas started at the same time', async () => {
    const { org } = await (await world.as(one, world.firstKey)).getOrg({});
    const { id, slug, name } = world.trust.orgs[0]!;
    assert.deepEqual(
      { ...org, createdAtMs: 0 },
      { id, slug, name, ownerEmail: 'owner@acme.test', createdAtMs: 0 },
    );
    const { keys } = await (await world.as(two, world.firstKey)).listApiKeys({});
    assert.deepEqual(
      keys.map((key) => [key.name, key.prefix, key.scopes]),
      [['first key', world.firstKey.slice(0, 8), ['admin']]],
    );
    assert.ok(keys[0]!.lastUsedAtMs > 0);
  });

  it('exchanges a key for a token that others verify by themselves', async () => {
    const answer = await world.client(one).exchangeKey({ apiKey: world.firstKey });
    const caller = await createTokenVerifier(world.trust.jwks).verify(answer.token);
    assert.deepEqual(
      [caller.kind, caller.org, caller.scopes],
      ['user', world.trust.orgs[0]!.id, ['admin', 'send', 'read', 'node-join']],
    );
    assert.deepEqual(answer.scopes, caller.scopes);
    const leftMs = answer.expiresAtMs - Date.now();
    assert.ok(leftMs > 800_000 && leftMs <= 900_000, String(leftMs));
  });

  it('refuses unknown, revoked and expired keys, each by its reason, at every replica', async () => {
    const admin = await world.as(one, world.firstKey);
    const made = await admin.createApiKey({ name: 'ci', scopes: ['send'], expiresAtMs: 0 });
    await world.client(two).exchangeKey({ apiKey: made.secret });
    await admin.revokeApiKey({ id: made.key!.id });
    await admin.revokeApiKey({ id: made.key!.id });
    const exchange = (apiKey: string) => reasonOf(world.client(two).exchangeKey({ apiKey }));
    assert.equal(await exchange(made.secret), 'API_KEY_REVOKED');
    assert.equal(await exchange(`${made.secret.slice(0, -1)}_`), 'API_KEY_INVALID');
    assert.equal(await exchange('nonsense'), 'API_KEY_INVALID');
    const expiresAtMs = Date.now() + 1500;
    const short = await admin.createApiKey({ name: 'short', scopes: ['read'], expiresAtMs });
    const token = await world.client(one).exchangeKey({ apiKey: short.secret });
    assert.ok(token.expiresAtMs <= expiresAtMs, 'a token does not outlive its key');
    while (Date.now() <= expiresAtMs + 20) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(await exchange(short.secret), 'API_KEY_EXPIRED');
  });

  it('asks for scopes, and keeps the secret to the answer that made the key', async () => {
    const admin = await world.as(one, world.firstKey);
    const made = await admin.createApiKey({ name: 'sender', scopes: ['send'], expiresAtMs: 0 });
    const sender = await world.as(two, made.secret);
    assert.equal(await reasonOf(sender.listApiKeys({})), 'SCOPE_MISSING');
    assert.equal(await reasonOf(sender.createJoinToken({ ttlS: 0 })), 'SCOPE_MISSING');
    assert.equal(await reasonOf(sender.createApiKey({ name: 'x', scopes: ['admin'] })), 'SCOPE_MISSING');
    assert.equal(await reasonOf(sender.redeemJoinToken({})), 'SERVICE_ONLY');
    assert.equal(await reasonOf(sender.getOrg({})), 'none');
    assert.equal(await reasonOf(world.client(one).listApiKeys({})), 'TOKEN_MISSING');
    assert.equal(await reasonOf(admin.createApiKey({ name: 'x', scopes: ['fly'] })), 'UNKNOWN_SCOPE');
    const listed = JSON.stringify(await admin.listApiKeys({}));
    assert.ok(!listed.includes(made.secret) && !listed.includes(hashSecret(made.secret)));
  });

  it('does not let the last admin key be revoked', async () => {
    const admin = await world.as(one, world.firstKey);
    const { keys } = await admin.listApiKeys({});
    const first = keys.find((key) => key.scopes.includes('admin'))!;
    assert.equal(await reasonOf(admin.revokeApiKey({ id: first.id })), 'LAST_ADMIN_KEY');
    assert.equal(await reasonOf(admin.revokeApiKey({ id: 'k_0000000000000000' })), 'API_KEY_UNKNOWN');
  });

  it('lets one of many racing machines spend a join token, and that one again', async () => {
    const admin = await world.as(one, world.firstKey);
    const { joinToken } = await admin.createJoinToken({ ttlS: 60 });
    const registries = [await world.asService(one, 'registry'), await world.asService(two, 'registry')];
    const machines = Array.from({ length: 20 }, () => createNodeKey().publicKey);
    const outcomes = await Promise.all(
      machines.map((publicKey, i) => reasonOf(registries[i % 2]!.redeemJoinToken({ joinToken, publicKey }))),
    );
    assert.equal(outcomes.filter((reason) => reason === 'none').length, 1, outcomes.join());
    assert.equal(outcomes.filter((reason) => reason === 'JOIN_TOKEN_USED').length, 19, outcomes.join());
    const winner = machines[outcomes.indexOf('none')]!;
    for (const registry of registries) {
      const { org } = await registry.redeemJoinToken({ joinToken, publicKey: winner });
      assert.equal(org, world.trust.orgs[0]!.id);
    }
  });

  it('refuses join tokens that are unknown, and services that are not the registry', async () => {
    const { publicKey } = createNodeKey();
    const registry = await world.asService(one, 'registry');
    const redeem = (joinToken: string, key = publicKey) =>
      reasonOf(registry.redeemJoinToken({ joinToken, publicKey: key }));
    assert.equal(await redeem('fwj_no'), 'JOIN_TOKEN_INVALID');
    assert.equal(await redeem('fwj_no', 'UNO'), 'INVALID_PUBLIC_KEY');
    const router = await world.asService(one, 'router');
    assert.equal(await reasonOf(router.redeemJoinToken({ joinToken: 'x', publicKey })), 'SERVICE_ONLY');
    const admin = await world.as(one, world.firstKey);
    assert.equal(await reasonOf(admin.createJoinToken({ ttlS: 604_801 })), 'INVALID_TTL');
    const { joinToken, expiresAtMs } = await admin.createJoinToken({ ttlS: 1 });
    while (Date.now() <= expiresAtMs + 20) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(await redeem(joinToken), 'JOIN_TOKEN_EXPIRED');
  });

  it('bounds keys and join tokens of an org', async () => {
    const small = await world.start({ max_api_keys: 1, max_join_tokens: 1 });
    const admin = await world.as(small, world.firstKey);
    assert.equal(await reasonOf(admin.createApiKey({ name: 'x', scopes: ['send'] })), 'API_KEY_LIMIT');
    await admin.createJoinToken({ ttlS: 60 });
    assert.equal(await reasonOf(admin.createJoinToken({ ttlS: 60 })), 'JOIN_TOKEN_LIMIT');
    await small.stop();
  });
});

describe('org and its database', function () {
  this.timeout(60_000);

  it('keeps everything over restarts of its own, and leaves an org that is there alone', async () => {
    await using world = await startOrgWorld();
    const first = await world.start();
    const admin = await world.as(first, world.firstKey);
    const made = await admin.createApiKey({ name: 'kept', scopes: ['admin'], expiresAtMs: 0 });
    const { keys } = await admin.listApiKeys({});
    await admin.revokeApiKey({ id: keys.find((key) => key.name === 'first key')!.id });
    await first.stop();
    const again = await world.start({ owner_email: 'somebody@else.test' });
    const { org } = await (await world.as(again, made.secret)).getOrg({});
    assert.equal(org!.ownerEmail, 'owner@acme.test');
    const revoked = world.client(again).exchangeKey({ apiKey: world.firstKey });
    assert.equal(await reasonOf(revoked), 'API_KEY_REVOKED');
  });

  it('refuses a database that was made with other keys', async () => {
    await using postgres = await startTestPostgres();
    const { url } = postgres;
    const store = await openStore({
      url,
      schema: 'org',
      entities,
      migrations,
      poolMax: 2,
      applicationName: 'test',
    });
    const seed = (id: string) =>
      seedOrg(store, {
        org: { id, slug: 'acme', name: 'Acme' },
        ownerEmail: 'owner@acme.test',
        ownerId: newId('user'),
        key: undefined,
        nowMs: 1,
      });
    await seed('o_0000000000000001');
    assert.equal(await reasonOf(seed('o_0000000000000002')), 'DATABASE_OF_ANOTHER_FABRIC');
    assert.deepEqual(await seed('o_0000000000000001'), { created: false });
    await store.close();
  });

  it('says that the database is away while it is, and works when it is back', async () => {
    await using world = await startOrgWorld({ ownPostgres: true });
    const service = await world.start();
    const client = await world.as(service, world.firstKey);
    const { postgres } = world;
    process.kill(postgres!.server.pid, 'SIGKILL');
    await postgres!.server.exited;
    // A server process outlives its parent for a moment and may still answer.
    await eventually(
      async () => (await reasonOf(client.getOrg({}, { deadlineMs: 3000 }))) === 'DATABASE_AWAY',
    );
    await postgres!.restart();
    assert.equal(await reasonOf(client.getOrg({})), 'none');
    assert.equal(await reasonOf(client.createJoinToken({ ttlS: 60 })), 'none');
  });

  it('has migrations that agree with its entities', async () => {
    await using world = await startOrgWorld({ ownPostgres: true });
    const { url } = world.postgres!;
    const options = { url, schema: 'org', entities, migrations, poolMax: 2, applicationName: 'test' };
    const store = await openStore(options);
    assert.equal(await store.drift(), '');
    await store.close();
  });
});
