/** Goal: a join token lets one machine in, once. Method: registries that spend tokens at two replicas, one by one and at once. */

import assert from 'node:assert/strict';
import type { JoinToken } from '@fleetwire/gen/org';
import { createNodeKey } from '@fleetwire/identity';
import type { RunningService } from '@fleetwire/runtime';
import { after, before, describe, it } from 'mocha';
import { type Client, type OrgWorld, type Person, reasonOf, startOrgWorld } from './fixture.ts';

describe('join tokens', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  let one: RunningService;
  let boss: Person;
  let org: string;
  let registries: readonly Client[];
  before(async () => {
    world = await startOrgWorld();
    const [first, two] = await Promise.all([world.start(), world.start()]);
    one = first;
    registries = [await world.asService(one, 'registry'), await world.asService(two, 'registry')];
    ({ id: org, owner: boss } = await world.otherOrg(one, 'join'));
  });
  after(() => world?.[Symbol.asyncDispose]());

  it('are spent by one of many racing machines, by that one again, and once in the audit', async () => {
    const { joinToken } = await boss.client.createJoinToken({ ttlS: 60 });
    const machines = Array.from({ length: 20 }, () => createNodeKey().publicKey);
    const outcomes = await Promise.all(
      machines.map((publicKey, i) => reasonOf(registries[i % 2]!.redeemJoinToken({ joinToken, publicKey }))),
    );
    assert.equal(outcomes.filter((reason) => reason === 'none').length, 1, outcomes.join());
    assert.equal(outcomes.filter((reason) => reason === 'JOIN_TOKEN_USED').length, 19, outcomes.join());
    const publicKey = machines[outcomes.indexOf('none')]!;
    for (const registry of registries)
      assert.deepEqual(await registry.redeemJoinToken({ joinToken, publicKey }), { org, user: boss.user });
    const { entries } = await boss.client.listAudit({ filter: { action: 'node', decision: 'allowed' } });
    const [joined, made] = entries;
    assert.deepEqual([entries.length, made!.action, made!.actor], [2, 'node.token', boss.user]);
    const { action, actor, actorKind, target, details } = joined!;
    assert.deepEqual([action, actor, actorKind], ['node.join', 'registry', 'service']);
    assert.deepEqual([target, details], [made!.target, { public_key: publicKey }]);
  });

  it('that are unknown, expired or of a closed org are refused', async () => {
    const { publicKey } = createNodeKey();
    const redeem = (joinToken: string, key = publicKey) =>
      reasonOf(registries[0]!.redeemJoinToken({ joinToken, publicKey: key }));
    assert.equal(await redeem('fwj_no'), 'JOIN_TOKEN_INVALID');
    assert.equal(await redeem('fwj_no', 'UNO'), 'INVALID_PUBLIC_KEY');
    const { joinToken } = await boss.client.createJoinToken({ ttlS: 1 });
    const store = await world.store();
    await store.query('update join_tokens set expires_at_ms = 1 where org = $1 and used_by is null', [org]);
    assert.equal(await redeem(joinToken), 'JOIN_TOKEN_EXPIRED');
    const { id, owner: other } = await world.otherOrg(one, 'closed');
    const { joinToken: theirs } = await other.client.createJoinToken({});
    await other.client.deleteOrg({ confirmSlug: 'closed' });
    assert.equal(await redeem(theirs), 'JOIN_TOKEN_INVALID');
    await registries[0]!.confirmCleared({ org: id, deletion: 1 });
  });

  it("are listed with who made them and what became of them, a member's own and all for an admin", async () => {
    const { owner } = await world.otherOrg(one, 'listed');
    const member = await world.join(one, owner.client, 'member@listed.test');
    const { joinToken: used } = await owner.client.createJoinToken({ ttlS: 60 });
    const { publicKey } = createNodeKey();
    await registries[0]!.redeemJoinToken({ joinToken: used, publicKey });
    const { joinToken: theirs, expiresAtMs } = await member.client.createJoinToken({ ttlS: 600 });
    const { tokens } = await owner.client.listJoinTokens({});
    assert.deepEqual(
      new Set(tokens.map((token) => `${token.user} ${token.status}`)),
      new Set([`${owner.user} used`, `${member.user} open`]),
    );
    assert.deepEqual(
      tokens.map((token) => token.usedBy).filter((key) => key !== ''),
      [publicKey],
    );
    const { tokens: own } = await member.client.listJoinTokens({});
    assert.deepEqual(
      own.map((token) => [token.user, token.expiresAtMs]),
      [[member.user, expiresAtMs]],
    );
    assert.ok(!JSON.stringify(tokens).includes(theirs) && !JSON.stringify(tokens).includes(used));
    const page = await owner.client.listJoinTokens({ pageSize: 1 });
    const rest = await owner.client.listJoinTokens({ pageSize: 1, pageToken: page.nextPageToken });
    assert.deepEqual([...page.tokens, ...rest.tokens], tokens);
    const { tokens: open } = await owner.client.listJoinTokens({ status: 'open' });
    assert.deepEqual(
      open.map((token) => token.user),
      [member.user],
    );
    assert.equal(await reasonOf(owner.client.listJoinTokens({ status: 'lost' })), 'INVALID_STATUS');
    assert.equal(await reasonOf(member.client.revokeJoinToken({ id: spentOf(tokens) })), 'ROLE_TOO_LOW');
    assert.equal(await reasonOf(owner.client.revokeJoinToken({ id: spentOf(tokens) })), 'JOIN_TOKEN_SPENT');
  });

  it('let nobody in once they are revoked', async () => {
    const { joinToken } = await boss.client.createJoinToken({ ttlS: 60 });
    const { tokens } = await boss.client.listJoinTokens({ status: 'open' });
    assert.equal(tokens.length, 1);
    const { id } = tokens[0]!;
    await boss.client.revokeJoinToken({ id });
    await boss.client.revokeJoinToken({ id });
    const { publicKey } = createNodeKey();
    const redeem = () => reasonOf(registries[1]!.redeemJoinToken({ joinToken, publicKey }));
    assert.equal(await redeem(), 'JOIN_TOKEN_REVOKED');
    // Also at a replica whose clock is behind.
    const store = await world.store();
    await store.query('update join_tokens set expires_at_ms = $2 where id = $1', [id, Date.now() + 60_000]);
    assert.equal(await redeem(), 'JOIN_TOKEN_REVOKED');
    const { tokens: revoked } = await boss.client.listJoinTokens({ status: 'revoked' });
    assert.deepEqual(
      revoked.map((token) => token.id),
      [id],
    );
    const { entries } = await boss.client.listAudit({ filter: { action: 'node.token.revoke' } });
    assert.deepEqual([entries[0]!.target, entries[0]!.actor], [id, boss.user]);
  });

  it('are revoked or spent, never both, when a machine joins at that moment', async () => {
    for (let round = 0; round < 10; round++) {
      const { joinToken } = await boss.client.createJoinToken({ ttlS: 60 });
      const { id } = (await boss.client.listJoinTokens({ status: 'open' })).tokens[0]!;
      const { publicKey } = createNodeKey();
      const [revoked, joined] = await Promise.all([
        reasonOf(boss.client.revokeJoinToken({ id })),
        reasonOf(registries[round % 2]!.redeemJoinToken({ joinToken, publicKey })),
      ]);
      const either = joined === 'none' ? 'JOIN_TOKEN_SPENT none' : 'none JOIN_TOKEN_REVOKED';
      assert.equal(`${revoked} ${joined}`, either);
    }
  });

  it('are bounded', async () => {
    const small = await world.start({ max_join_tokens: 1 });
    const { owner } = await world.otherOrg(small, 'bounded');
    await owner.client.createJoinToken({ ttlS: 60 });
    assert.equal(await reasonOf(owner.client.createJoinToken({ ttlS: 60 })), 'JOIN_TOKEN_LIMIT');
    await small.stop();
  });
});

const spentOf = (tokens: readonly JoinToken[]) => tokens.find((token) => token.status === 'used')!.id;
