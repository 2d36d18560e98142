/**
 * Goal: keys open what they should and nothing else, and stop doing so when they are told to. Method: replicas of the real
 * service and another service on real servers.
 */

import assert from 'node:assert/strict';
import { createTokenVerifier, hashSecret } from '@fleetwire/identity';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { type OrgWorld, reasonOf, startOrgWorld } from './fixture.ts';
import { type Neighbour, SOON, startNeighbour } from './neighbour.ts';

const ALL = ['admin', 'account', 'send', 'read', 'node-join'];

describe('API keys', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  let one: RunningService;
  let two: RunningService;
  let neighbour: Neighbour;
  before(async () => {
    world = await startOrgWorld();
    [one, two] = await Promise.all([world.start(), world.start()]);
    neighbour = await startNeighbour(world);
  });
  after(async () => {
    await neighbour?.stop();
    await world?.[Symbol.asyncDispose]();
  });

  const fresh = (name: string) => world.otherOrg(one, name);
  const exchange = (apiKey: string) => world.client(two).exchangeKey({ apiKey });

  it('are exchanged for tokens that anybody verifies by the published keys alone', async () => {
    const answer = await exchange(world.firstKey);
    const { jwks } = await world.client(one).getSigningKeys({});
    assert.ok(!jwks.includes('"d"'), 'no private part');
    const caller = await createTokenVerifier(JSON.parse(jwks)).verify(answer.token);
    const { org, user, scopes, role } = answer;
    assert.deepEqual([caller.kind, caller.subject, caller.org, caller.scopes], ['user', user, org, scopes]);
    assert.deepEqual([org, role, scopes], [world.trust.orgs[0]!.id, 'owner', ALL]);
    const leftMs = answer.expiresAtMs - Date.now();
    assert.ok(leftMs > 800_000 && leftMs <= 900_000, String(leftMs));
  });

  it('give the scopes that they were made with, as far as the role allows', async () => {
    const { owner: boss } = await fresh('scopes');
    const bob = await world.join(one, boss.client, 'bob@scopes.test');
    const scopesOf = async (apiKey: string) => (await exchange(apiKey)).scopes;
    assert.deepEqual(await scopesOf(boss.apiKey), ALL);
    assert.deepEqual(await scopesOf(bob.apiKey), ALL.slice(1));
    const { key, secret } = await boss.client.createApiKey({ name: 'ci', scopes: ['read', 'send', 'read'] });
    assert.deepEqual(
      [key!.scopes, await scopesOf(secret)],
      [
        ['send', 'read'],
        ['send', 'read'],
      ],
    );
    // The first key has what the role has, whichever that is; others never more than they were made with.
    const { secret: narrow } = await bob.client.createApiKey({ name: 'all', scopes: ALL.slice(1) });
    await boss.client.changeRole({ user: bob.user, role: 'admin', version: 1 });
    assert.deepEqual([await scopesOf(bob.apiKey), await scopesOf(narrow)], [ALL, ALL.slice(1)]);
    const narrowed = await world.as(one, narrow);
    assert.equal(await reasonOf(narrowed.createApiKey({ name: 'x', scopes: ['admin'] })), 'SCOPE_MISSING');
    await boss.client.transferOwnership({ user: bob.user });
    assert.deepEqual(await scopesOf(boss.apiKey), ALL, 'now of an admin');
  });

  it('that are unknown, revoked or expired are refused, each by its reason, at every replica', async () => {
    const { owner: boss } = await fresh('refused');
    const make = async (name: string, expiresAtMs = 0) =>
      boss.client.createApiKey({ name, scopes: ['send'], expiresAtMs });
    const revoked = await make('revoked');
    await exchange(revoked.secret);
    await boss.client.revokeApiKey({ id: revoked.key!.id });
    await boss.client.revokeApiKey({ id: revoked.key!.id });
    assert.equal(await reasonOf(exchange(revoked.secret)), 'API_KEY_REVOKED');
    assert.equal(await reasonOf(exchange(`${revoked.secret.slice(0, -1)}_`)), 'API_KEY_INVALID');
    assert.equal(await reasonOf(exchange('nonsense')), 'API_KEY_INVALID');
    const soon = Date.now() + 60_000;
    const expired = await make('expired', soon);
    const { expiresAtMs } = await exchange(expired.secret);
    assert.ok(expiresAtMs <= soon, 'a token does not outlive its key');
    const store = await world.store();
    await store.query('update api_keys set expires_at_ms = 1 where id = $1', [expired.key!.id]);
    assert.equal(await reasonOf(exchange(expired.secret)), 'API_KEY_EXPIRED');
  });

  it('that are revoked take their tokens along at every service, and no others', async () => {
    const { owner: boss } = await fresh('tokens');
    const made = await boss.client.createApiKey({ name: 'ci', scopes: ['read'] });
    const [lost, kept] = [await exchange(made.secret), await exchange(boss.apiKey)];
    const elsewhere = world.client(two, () => lost.token);
    await eventually(
      async () => (await neighbour.ask(lost.token, 'bob')).reason === 'ALLOWED_BY_DEFAULT',
      SOON,
    );
    await boss.client.revokeApiKey({ id: made.key!.id });
    await Promise.all([
      eventually(async () => (await reasonOf(elsewhere.getOrg({}))) === 'TOKEN_REVOKED', SOON),
      eventually(async () => (await reasonOf(neighbour.ask(lost.token, 'bob'))) === 'TOKEN_REVOKED', SOON),
    ]);
    assert.equal(await reasonOf(neighbour.ask(kept.token, 'bob')), 'none');
    assert.equal(await reasonOf(world.client(two, () => kept.token).getOrg({})), 'none');
  });

  it('are told one by one to the registry, where all tokens of a user are refused for many keys', async () => {
    const { id: org, owner: boss } = await fresh('dozens');
    const bob = await world.join(one, boss.client, 'bob@dozens.test', 'admin');
    const make = async (scopes = ['read']) => (await bob.client.createApiKey({ name: 'ci', scopes })).key!.id;
    const made = await Promise.all(Array.from({ length: 21 }, () => make()));
    const [kept, admin] = [await make(), await make(['admin'])];
    for (const id of made) await boss.client.revokeApiKey({ id });
    const state = await eventually(async () => {
      const found = await world.published(org);
      return found?.revocations.some(({ kind, subject }) => kind === 'user' && subject === bob.user);
    });
    assert.ok(state);
    const registry = await world.asService(two, 'registry');
    const asked = { org, keys: [...made, kept, admin, 'k_none'] };
    const good = async () =>
      (await registry.listUnrevokedKeys(asked)).keys.map(({ id, user, scopes }) => [id, user, scopes]);
    assert.deepEqual(
      new Set((await good()).map((each) => JSON.stringify(each))),
      new Set(
        [
          [kept, bob.user, ['read']],
          [admin, bob.user, ALL],
        ].map((each) => JSON.stringify(each)),
      ),
    );
    // By the role of today; nothing once its user has left, and nothing of another org's.
    const { version } = (await boss.client.listMembers({ role: 'admin' })).members[0]!;
    await boss.client.changeRole({ user: bob.user, role: 'member', version });
    assert.deepEqual((await good()).find(([id]) => id === admin)![2], ALL.slice(1));
    const elsewhere = { org: (await fresh('dozens-else')).id, keys: [kept] };
    assert.deepEqual((await registry.listUnrevokedKeys(elsewhere)).keys, []);
    await boss.client.removeMember({ user: bob.user });
    assert.deepEqual(await good(), []);
    const many = { org, keys: Array.from({ length: 501 }, () => 'k_none') };
    assert.equal(await reasonOf(registry.listUnrevokedKeys(many)), 'INVALID_KEYS');
    assert.equal(await reasonOf(boss.client.listUnrevokedKeys(asked)), 'SERVICE_ONLY');
  });

  it('are shown to their user, and to admins all of the org, but for what opens anything', async () => {
    const { owner: boss } = await fresh('listed');
    const bob = await world.join(one, boss.client, 'bob@listed.test');
    const made = await bob.client.createApiKey({ name: 'ci', scopes: ['send'] });
    const names = async (client = bob.client, user = '') =>
      (await client.listApiKeys({ user })).keys.map((key) => `${key.user} ${key.name}`).sort();
    const [his, hers] = [`${boss.user} first key`, [`${bob.user} ci`, `${bob.user} first key`]];
    assert.deepEqual(await names(), hers);
    assert.deepEqual(await names(bob.client, bob.user), hers);
    assert.equal(await reasonOf(names(bob.client, boss.user)), 'ROLE_TOO_LOW');
    assert.deepEqual(await names(boss.client), [his, ...hers].sort());
    assert.deepEqual(await names(boss.client, bob.user), hers);
    const said = JSON.stringify(await boss.client.listApiKeys({}));
    assert.ok(!said.includes(made.secret) && !said.includes(hashSecret(made.secret)));
    assert.deepEqual([made.key!.prefix, made.key!.lastUsedAtMs], [made.secret.slice(0, 8), 0]);
    await exchange(made.secret);
    const { keys } = await bob.client.listApiKeys({});
    assert.ok(keys.find(({ id }) => id === made.key!.id)!.lastUsedAtMs > 0);
  });

  it('that are the last to administrate an org cannot be revoked', async () => {
    const { owner: boss } = await fresh('last');
    const bob = await world.join(one, boss.client, 'bob@last.test', 'admin');
    const { keys } = await boss.client.listApiKeys({});
    const [his, hers] = [boss, bob].map(({ user }) => keys.find((key) => key.user === user)!.id);
    const revoke = (id: string) => reasonOf(boss.client.revokeApiKey({ id }));
    const { version } = (await boss.client.listMembers({ role: 'admin' })).members[0]!;
    await boss.client.changeRole({ user: bob.user, role: 'member', version });
    assert.equal(await revoke(his!), 'LAST_ADMIN_KEY', 'the key of a former admin is none');
    const spare = await boss.client.createApiKey({
      name: 'spare',
      scopes: ['admin'],
      expiresAtMs: Date.now() + 60_000,
    });
    const store = await world.store();
    await store.query('update api_keys set expires_at_ms = 1 where id = $1', [spare.key!.id]);
    assert.equal(await revoke(his!), 'LAST_ADMIN_KEY', 'an expired key is none');
    assert.equal(await revoke(hers!), 'none', 'a member’s key administrates nothing');
    await boss.client.createApiKey({ name: 'another', scopes: ['admin'] });
    assert.equal(await revoke(his!), 'none');
    assert.equal(await reasonOf(exchange(boss.apiKey)), 'API_KEY_REVOKED');
  });

  it('are bounded', async () => {
    const small = await world.start({ max_api_keys: 2 });
    const { owner: boss } = await fresh('bounded');
    const client = await world.as(small, boss.apiKey);
    const make = () => client.createApiKey({ name: 'x', scopes: ['send'] });
    const { key } = await make();
    assert.equal(await reasonOf(make()), 'API_KEY_LIMIT');
    await client.revokeApiKey({ id: key!.id });
    assert.equal(await reasonOf(make()), 'none');
    await small.stop();
  });
});
