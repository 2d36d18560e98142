/**
 * Goal: what one org or one event does keeps nobody else from hearing or being heard. Method: states and events that cannot
 * be told or taken, put in past the service, beside others that must get through.
 */

import assert from 'node:assert/strict';
import { EVENT_NAMES, eventSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { createNodeKey } from '@fleetwire/identity';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { type OrgWorld, reasonOf, startOrgWorld } from './fixture.ts';

describe('what org tells and hears', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  let one: RunningService;
  before(async () => {
    world = await startOrgWorld();
    one = await world.start();
  });
  after(() => world?.[Symbol.asyncDispose]());

  it('reaches others though the state of one org is too large, and that one when it fits again', async () => {
    const [large, other] = [await world.otherOrg(one, 'large'), await world.otherOrg(one, 'other')];
    const { workspace } = await large.owner.client.createWorkspace({ name: 'w' });
    const store = await world.store();
    await store.query(
      `insert into assignments (org, agent, agent_name, workspace, assigned_by, assigned_at_ms)
       select $1, repeat('x', 60) || i, 'x', $2, 'test', 0 from generate_series(1, 30000) i`,
      [large.id, workspace!.id],
    );
    await large.owner.client.createPolicy({
      policy: { level: 'org', name: 'p', rules: [{ agents: '*', canSpawn: { patterns: [] } }] },
    });
    const bob = await world.join(one, other.owner.client, 'bob@other.test');
    await other.owner.client.removeMember({ user: bob.user });
    await eventually(async () => (await reasonOf(bob.client.getOrg({}))) === 'TOKEN_REVOKED');
    assert.equal((await world.published(large.id))!.policies.length, 0);
    await store.query('delete from assignments where org = $1', [large.id]);
    await eventually(async () => (await world.published(large.id))!.policies.length === 1, {
      timeoutMs: 30_000,
    });
  });

  it('is published anew when the database is older than what was published', async () => {
    const { id, owner } = await world.otherOrg(one, 'restored');
    const store = await world.store();
    await eventually(async () => (await world.published(id))?.status === 'active');
    const { key } = await owner.client.createApiKey({ name: 'x', scopes: ['send'] });
    await owner.client.revokeApiKey({ id: key!.id });
    await eventually(async () => (await world.published(id))!.revocations.length === 1);
    await store.query('update orgs set state_version = 1 where id = $1', [id]);
    const { key: later } = await owner.client.createApiKey({ name: 'y', scopes: ['send'] });
    await owner.client.revokeApiKey({ id: later!.id });
    await eventually(async () => (await world.published(id))!.revocations.length === 2);
  });

  it('stays small, however many keys are revoked', async () => {
    const { id, owner } = await world.otherOrg(one, 'many-keys');
    const { createApiKey, revokeApiKey } = owner.client;
    const bob = await world.join(one, owner.client, 'bob@keys.test');
    for (let i = 0; i < 25; i++) {
      // After so many, all of bob's tokens are taken back, this one too.
      const again = await world.as(one, bob.apiKey);
      const { key } = await again.createApiKey({ name: `k${i}`, scopes: ['send'] });
      await revokeApiKey({ id: key!.id });
    }
    const last = await createApiKey({ name: 'last', scopes: ['send'] });
    await revokeApiKey({ id: last.key!.id });
    const revocations = await eventually(async () => {
      const { revocations: now } = (await world.published(id))!;
      return now.some(({ subject }) => subject === last.key!.id) && now;
    });
    assert.ok(revocations.length < 10, String(revocations.length));
    assert.ok(revocations.some(({ kind, subject }) => kind === 'user' && subject === bob.user));
    assert.equal(await reasonOf(bob.client.getOrg({})), 'TOKEN_REVOKED');
    assert.equal(await reasonOf((await world.as(one, bob.apiKey)).getOrg({})), 'none');
  });

  it('goes on after an event that cannot be kept', async () => {
    const { id, owner } = await world.otherOrg(one, 'poison');
    const broker = await world.broker();
    const tell = (name: string, target: string) => {
      const event = {
        id: name,
        org: id,
        service: 'router',
        name: EVENT_NAMES.denied,
        atMs: 1,
        actor: 'a',
        target,
      };
      const bytes = encode(
        Event,
        Event.fromPartial({ ...event, details: { action: 'message', reason: 'NO' } }),
      );
      const subject = eventSubject.build({ org: id, service: 'router', name: EVENT_NAMES.denied });
      return broker.store(subject, bytes, { msgId: name });
    };
    await tell('bad', 'x\0y');
    await tell('good', 'bob');
    const denied = async () => (await owner.client.listAudit({ filter: { action: 'message' } })).entries;
    await eventually(async () => (await denied()).length === 1);
    assert.equal((await denied())[0]!.target, 'bob');
  });

  it('writes to nobody again and again', async () => {
    const { owner } = await world.otherOrg(one, 'letters');
    const invite = () => owner.client.createInvite({ email: 'stranger@example.org' });
    for (let i = 0; i < 3; i++) await owner.client.revokeInvite({ id: (await invite()).invite!.id });
    assert.equal(await reasonOf(invite()), 'LETTER_LIMIT');
    assert.equal(await reasonOf(owner.client.createInvite({})), 'none');
  });

  it('ends what a key has left open, and lets no key outlive the one that made it', async () => {
    const { owner } = await world.otherOrg(one, 'leftover');
    const expiresAtMs = Date.now() + 3_600_000;
    const scopes = ['account', 'node-join'];
    const made = await owner.client.createApiKey({ name: 'short', scopes, expiresAtMs });
    const short = await world.as(one, made.secret);
    const { key: child } = await short.createApiKey({ name: 'child', scopes: ['account'] });
    assert.equal(child!.expiresAtMs, expiresAtMs);
    const { joinToken } = await short.createJoinToken({});
    await owner.client.revokeApiKey({ id: made.key!.id });
    const registry = await world.asService(one, 'registry');
    const { publicKey } = createNodeKey();
    assert.equal(await reasonOf(registry.redeemJoinToken({ joinToken, publicKey })), 'JOIN_TOKEN_EXPIRED');
  });
});
