/**
 * Goal: orgs come to be once, change, go and come back as they should, and what is stored survives restarts of org and of
 * PostgreSQL. Method: replicas of the real service over gRPC on real servers.
 */

import assert from 'node:assert/strict';
import { newId } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import { openStore } from '@fleetwire/store';
import { eventually, startTestPostgres } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { DELETION_STEPS } from '../src/domain/deletion.ts';
import { seedOrg } from '../src/store/seed.ts';
import { type Client, type OrgWorld, reasonOf, startOrgWorld } from './fixture.ts';
import { OWN_SCHEMA } from './own-schema.ts';

describe('org', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  let one: RunningService;
  let two: RunningService;
  let operator: Client;
  before(async () => {
    world = await startOrgWorld();
    [one, two] = await Promise.all([world.start(), world.start()]);
    operator = await world.operator(two);
  });
  after(() => world?.[Symbol.asyncDispose]());

  it('makes the org, its owner and the first key once, though two replicas started at the same time', async () => {
    const { org } = await (await world.as(one, world.firstKey)).getOrg({});
    const { id, slug, name } = world.trust.orgs[0]!;
    assert.ok(org!.createdAtMs > 0);
    assert.deepEqual(
      { ...org, createdAtMs: 0 },
      {
        id,
        slug,
        name,
        ownerEmail: 'owner@acme.test',
        createdAtMs: 0,
        plan: 'enterprise',
        status: 'active',
        members: 1,
        version: 1,
        deletedAtMs: 0,
        billingStatus: 'none',
        settings: { ssoEnabled: false, history: 'full', messageEvents: 'off' },
      },
    );
    const admin = await world.as(two, world.firstKey);
    const { keys } = await admin.listApiKeys({});
    assert.deepEqual(
      keys.map((key) => [key.name, key.prefix, key.scopes]),
      [['first key', world.firstKey.slice(0, 8), ['admin']]],
    );
    assert.ok(keys[0]!.lastUsedAtMs > 0);
    const { entries } = await admin.listAudit({});
    assert.deepEqual(
      entries.map(({ action, actor }) => `${action} ${actor}`),
      ['org.create org'],
    );
  });

  it('publishes an org from its beginning, and what it is called', async () => {
    const { id, owner: boss } = await world.otherOrg(one, 'before');
    await eventually(async () => (await world.published(id))?.slug === 'before');
    const { org } = await boss.client.updateOrg({
      version: 1,
      name: 'After',
      slug: 'after',
      settings: { ssoEnabled: true },
      history: 'metadata',
      messageEvents: 'full',
    });
    assert.deepEqual(
      [org!.name, org!.slug, org!.version, org!.settings],
      ['After', 'after', 2, { ssoEnabled: true, history: 'metadata', messageEvents: 'full' }],
    );
    await eventually(async () => (await world.published(id))?.slug === 'after');
    assert.equal((await world.published(id))?.history, 'metadata');
    // What is left out stays, and the old slug is free.
    const { org: kept } = await boss.client.updateOrg({ version: 2, name: 'Kept' });
    assert.deepEqual(
      [kept!.slug, kept!.settings],
      ['after', { ssoEnabled: true, history: 'metadata', messageEvents: 'full' }],
    );
    const audited = await boss.client.listAudit({});
    const details = audited.entries
      .filter((entry) => entry.action === 'org.update')
      .map((entry) => entry.details);
    assert.deepEqual(
      details.map((detail) => detail['history'] ?? ''),
      ['', 'metadata'],
    );
    const odd = boss.client.updateOrg({ version: 3, history: 'some' });
    assert.equal(await reasonOf(odd), 'INVALID_HISTORY');
    const odder = boss.client.updateOrg({ version: 3, messageEvents: 'some' });
    assert.equal(await reasonOf(odder), 'INVALID_MESSAGE_EVENTS');
    assert.equal(await reasonOf(boss.client.createOrg({ name: 'x', slug: 'before' })), 'none');
  });

  it('deletes in order, for the registry that it waits for, and forgets after 30 days', async () => {
    const { id, owner: boss } = await world.otherOrg(one, 'ending');
    const registry = await world.asService(two, 'registry');
    const store = await world.store();
    const status = async () => (await operator.getOrg({ org: 'ending' })).org!.status;
    const active = async () =>
      (await operator.listOrgs({ status: 'active' })).orgs.some((org) => org.id === id);
    assert.equal(await active(), true);
    // A confirmation of what nobody deletes changes nothing.
    await registry.confirmCleared({ org: id, deletion: 1 });
    await boss.client.deleteOrg({ confirmSlug: 'ending' });
    assert.equal(await active(), false);
    assert.equal(await reasonOf(operator.deleteOrg({ org: id, confirmSlug: 'ending' })), 'ORG_CLOSED');
    const step = async () => {
      const [org] = await store.query<{ step: string }>(
        'select deletion_step as step from orgs where id = $1',
        [id],
      );
      return org!.step;
    };
    await eventually(async () => (await step()) === 'clear_agents');
    await registry.confirmCleared({ org: id, deletion: 2 });
    assert.equal(await step(), 'clear_agents', 'that was another deletion');
    // Until then nobody has lost anything: it can be called off.
    await eventually(async () => (await world.published(id))?.clearing === true);
    assert.equal(await reasonOf(operator.restoreOrg({ org: id })), 'none');
    assert.equal(await active(), true);
    const mine = await world.as(one, boss.apiKey);
    await eventually(async () => (await reasonOf(mine.deleteOrg({ confirmSlug: 'ending' }))) === 'none');
    await eventually(async () => (await step()) === 'clear_agents');
    await registry.confirmCleared({ org: id, deletion: 2 });
    await eventually(async () => (await status()) === 'deleted');
    await eventually(async () => (await world.published(id))?.status === 'deleted');
    await eventually(async () => (await reasonOf(boss.client.getOrg({}))) === 'ORG_CLOSED');
    const { entries } = await operator.listAudit({ org: id, filter: { action: 'org' } });
    const steps = DELETION_STEPS.map((step) =>
      step === 'clear_agents' ? 'org.cleared' : `org.delete.${step}`,
    );
    const calledOff = ['org.delete', 'org.delete.cancel_subscription', 'org.restore'];
    assert.deepEqual(entries.map(({ action }) => action).reverse(), [
      'org.create',
      ...calledOff,
      'org.delete',
      ...steps,
    ]);
    await store.query('update orgs set deleted_at_ms = 1 where id = $1', [id]);
    assert.equal(await reasonOf(operator.restoreOrg({ org: id })), 'RESTORE_TOO_LATE');
    await store.query('update orgs set deleted_at_ms = $2 where id = $1', [id, Date.now()]);
    await operator.restoreOrg({ org: 'ending' });
    assert.equal(await reasonOf(operator.restoreOrg({ org: 'ending' })), 'ORG_NOT_DELETED');
    assert.equal((await world.client(one).exchangeKey(boss)).role, 'owner');
    assert.equal(await active(), true);
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
    const store = await openStore({ ...OWN_SCHEMA, url: postgres.url });
    const seed = (id: string) =>
      seedOrg(store, {
        org: { id, slug: 'acme', name: 'Acme' },
        plan: 'team',
        ownerEmail: 'owner@acme.test',
        ownerId: newId('user'),
        key: undefined,
        nowMs: 1,
        second: undefined,
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
    const postgres = world.postgres!;
    await postgres.kill();
    // A server process outlives its parent for a moment and may still answer.
    await eventually(
      async () => (await reasonOf(client.getOrg({}, { deadlineMs: 3000 }))) === 'DATABASE_AWAY',
    );
    await postgres.restart();
    assert.equal(await reasonOf(client.getOrg({})), 'none');
    assert.equal(await reasonOf(client.createJoinToken({ ttlS: 60 })), 'none');
  });

  it('has migrations that agree with its entities', async () => {
    await using postgres = await startTestPostgres();
    const store = await openStore({ ...OWN_SCHEMA, url: postgres.url });
    assert.equal(await store.drift(), '');
    await store.close();
  });
});
