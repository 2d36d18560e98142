/**
 * Goal: who was demoted or removed has nothing left of what they could do, at any service, within 5 s. Method: two replicas and
 * another service on real servers, and people who go on with what they had.
 */

import assert from 'node:assert/strict';
import { createNodeKey, createTokenSigner } from '@fleetwire/identity';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { SCOPES } from '../src/domain/scopes.ts';
import { deniedTo, type OrgWorld, type Person, reasonOf, secretOf, startOrgWorld } from './fixture.ts';
import { type Neighbour, SOON, startNeighbour } from './neighbour.ts';

describe('what somebody could do', function () {
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

  async function team(name: string): Promise<{ id: string; boss: Person; admin: Person }> {
    const { id, owner: boss } = await world.otherOrg(one, name);
    return { id, boss, admin: await world.join(one, boss.client, `admin@${name}.test`, 'admin') };
  }

  it('ends with the role: the token, the key and the invites of a demoted admin', async () => {
    const { id, boss, admin } = await team('demoted');
    const { url } = await admin.client.createInvite({});
    const { version } = (await boss.client.listMembers({ role: 'admin' })).members[0]!;
    await boss.client.changeRole({ user: admin.user, role: 'member', version });
    await eventually(async () => (await reasonOf(admin.client.getOrg({}))) === 'TOKEN_REVOKED', SOON);
    const accepting = world.client(two).acceptInvite({ secret: secretOf(url), email: 'eve@demoted.test' });
    assert.equal(await reasonOf(accepting), 'INVITE_REVOKED');
    const { role, scopes } = await world.client(two).exchangeKey({ apiKey: admin.apiKey });
    assert.deepEqual([role, scopes.includes('admin')], ['member', false]);
    // A token that no revocation has reached yet says more than the role of today allows.
    const signer = await createTokenSigner(world.keysDir, 'org');
    const claims = {
      sub: admin.user,
      org: id,
      scopes: SCOPES,
      lifetimeMs: 60_000,
      issuedAtMs: Date.now() + 1000,
    };
    const { token } = await signer.sign(claims);
    const stale = world.client(two, () => token);
    assert.equal(await reasonOf(stale.createInvite({})), 'ROLE_TOO_LOW');
    assert.equal(await reasonOf(stale.createApiKey({ name: 'x', scopes: ['admin'] })), 'ROLE_TOO_LOW');
    assert.deepEqual(await deniedTo(boss.client, admin.user), [
      'invite.create ROLE_TOO_LOW',
      'key.create ROLE_TOO_LOW',
    ]);
    assert.deepEqual(await deniedTo(boss.client, 'invitee'), ['invite.accept INVITE_REVOKED']);
  });

  it('ends with the membership, at every service within 5 s', async () => {
    const { id, boss, admin } = await team('removed');
    const { token } = await world.client(one).exchangeKey({ apiKey: admin.apiKey });
    const elsewhere = world.client(two, () => token);
    const { joinToken } = await admin.client.createJoinToken({});
    const { joinToken: spent } = await admin.client.createJoinToken({});
    const registry = await world.asService(two, 'registry');
    const { publicKey } = createNodeKey();
    const redeemed = { org: id, user: admin.user };
    for (let time = 0; time < 2; time++)
      assert.deepEqual(await registry.redeemJoinToken({ joinToken: spent, publicKey }), redeemed);
    const { url } = await admin.client.createInvite({ email: 'eve@removed.test' });
    await admin.client.createPolicy({
      policy: { level: 'user', subject: admin.user, name: 'x', rules: [{ agents: '*', maxSpawns: 1 }] },
    });
    await eventually(async () => (await neighbour.ask(token, 'bob')).reason === 'ALLOWED_BY_DEFAULT', SOON);
    await boss.client.removeMember({ user: admin.user });
    await Promise.all([
      eventually(async () => (await reasonOf(elsewhere.getOrg({}))) === 'TOKEN_REVOKED', SOON),
      eventually(async () => (await reasonOf(neighbour.ask(token, 'bob'))) === 'TOKEN_REVOKED', SOON),
    ]);
    const anyone = world.client(two);
    assert.equal(await reasonOf(anyone.exchangeKey({ apiKey: admin.apiKey })), 'API_KEY_REVOKED');
    const accepting = anyone.acceptInvite({ secret: secretOf(url), email: 'eve@removed.test' });
    assert.equal(await reasonOf(accepting), 'INVITE_REVOKED');
    const joining = (joinable: string) =>
      reasonOf(registry.redeemJoinToken({ joinToken: joinable, publicKey }));
    assert.equal(await joining(joinToken), 'JOIN_TOKEN_EXPIRED');
    // A machine that had the token's word and has not joined by now does not do so in the name of who has left.
    assert.equal(await joining(spent), 'OWNER_DEPARTED');
    assert.deepEqual((await boss.client.listPolicies({ level: 'user' })).policies, []);
    // Invited again, they begin anew: what is revoked stays revoked.
    const back = await world.join(two, boss.client, admin.email);
    assert.notEqual(back.user, admin.user);
    assert.equal(await reasonOf(back.client.getOrg({})), 'none');
    assert.equal(
      (await neighbour.ask((await anyone.exchangeKey(back)).token, 'bob')).reason,
      'ALLOWED_BY_DEFAULT',
    );
    assert.equal(await reasonOf(neighbour.ask(token, 'bob')), 'TOKEN_REVOKED');
    const departed = async () => (await world.published(id))!.departed.map(({ user }) => user);
    assert.deepEqual(await departed(), [admin.user], 'also after they are back, as somebody new');
    await back.client.leaveOrg({});
    await eventually(async () => (await departed()).join() === `${back.user},${admin.user}`, SOON);
    assert.equal(await reasonOf(anyone.exchangeKey({ apiKey: admin.apiKey })), 'API_KEY_REVOKED');
  });

  it('is told of the newest thousand who have left', async () => {
    const { id, boss, admin } = await team('many');
    const store = await world.store();
    await store.query(
      `insert into departures (org, user_id, at_ms) select $1, 'u_' || lpad(n::text, 16, '0'), n from generate_series(1, 1000) n`,
      [id],
    );
    await boss.client.removeMember({ user: admin.user });
    const { departed } = await eventually(async () => {
      const state = await world.published(id);
      return state?.departed[0]?.user === admin.user && state;
    }, SOON);
    assert.deepEqual([departed.length, departed[1]!.atMs, departed.at(-1)!.atMs], [1000, 1000, 2]);
    const [row] = await store.query<{ n: number }>('select count(*) as n from departures where org = $1', [
      id,
    ]);
    assert.equal(row!.n, 1000);
  });
});
