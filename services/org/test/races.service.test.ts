/**
 * Goal: two replicas under concurrent calls give no slug, invite, member, seat or limit away twice, and no call ends in a
 * fault. Method: the same calls at both replicas at the same moment, then the tables, the published state and the provider.
 */

import assert from 'node:assert/strict';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { type Client, outcomes, secretOf } from './fixture.ts';
import { type SoldOrg, type SoldWorld, startSoldWorld } from './sold-world.ts';

const times = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));

describe('two replicas under concurrent calls', function () {
  this.timeout(120_000);
  let sold: SoldWorld;
  let count = 0;
  before(async () => {
    sold = await startSoldWorld();
  });
  after(() => sold?.[Symbol.asyncDispose]());

  const fresh = (plan?: string) => sold.org(`race${count++}`, plan);
  /** Every other call at the other replica. */
  const at = ({ at: clients }: { readonly at: readonly [Client, Client] }, i: number): Client =>
    clients[(i % 2) as 0 | 1];
  const anyone = () => ({
    at: [sold.world.client(sold.replicas[0]), sold.world.client(sold.replicas[1])] as const,
  });
  const joined = async (org: SoldOrg, email: string, role: 'admin' | 'member') => {
    const person = await sold.world.join(sold.replicas[0], org.owner.client, email, role);
    return { ...person, ...(await sold.both(person.apiKey)) };
  };
  const counts = async (org: string) => {
    const [row] = await sold.store.query<Record<string, number>>(
      `select (select count(*) from memberships where org = $1) as members,
         (select count(*) from memberships where org = $1 and role = 'owner') as owners,
         (select count(*) from workspaces where org = $1 and deleted_at_ms is null) as workspaces,
         (select count(*) from assignments where org = $1) as assignments,
         (select count(*) from api_keys where org = $1) as keys,
         (select count(*) from policies where org = $1) as policies,
         (select count(*) from invites where org = $1 and accepted_at_ms is null and revoked_at_ms is null) as invites`,
      [org],
    );
    return row!;
  };
  /** Seats are the members, of one subscription, and what is published is what is. */
  const atRest = async (org: string) => {
    const { members } = await counts(org);
    await eventually(() => {
      assert.deepEqual(sold.billed(org), [`price_team:${Math.max(3, members!)}`]);
      return true;
    });
    const made = sold.stripe.model.subscriptionsOf(org);
    assert.equal(made.length, 1, 'subscriptions that were ever made');
    assert.equal((await sold.settled(org)).limits!.agents, 50 * members!);
  };

  it('gives a slug to one, and derived ones to all', async () => {
    const org = await fresh();
    const wanted = await outcomes(times(16, (i) => at(org, i).createOrg({ name: 'Wanted', slug: 'wanted' })));
    assert.deepEqual(wanted, { none: 1, SLUG_TAKEN: 15 });
    const others = await Promise.all(times(3, () => fresh('free')));
    const made = await Promise.all(
      times(16, (i) => at(others[i % 3]!, i >> 1).createOrg({ name: 'Many Hands' })),
    );
    const slugs = made.map((each) => each.org!.slug);
    assert.equal(new Set(slugs).size, 16, slugs.join(' '));
    const renamed = await outcomes(
      others.map((other, i) => at(other, i).updateOrg({ version: 1, slug: 'renamed' })),
    );
    assert.equal(renamed['none'], 1);
    assert.equal(renamed['SLUG_TAKEN'], 2);
  });

  it('lets orgs take the slugs of each other, or refuses, and never gets stuck', async () => {
    // Between the row and its unique slug each update takes its time, so that the two certainly meet there.
    for (const statement of [
      `create function slowly(text) returns text language plpgsql immutable as
        'begin perform pg_sleep(0.05); return $1; end'`,
      'alter table orgs drop constraint orgs_slug_unique',
      'create index orgs_slowly on orgs (slowly(slug))',
      'alter table orgs add constraint orgs_slug_unique unique (slug)',
    ])
      await sold.store.query(statement);
    const pair = [await fresh('free'), await fresh('free')];
    for (let round = 0; round < 4; round++) {
      const rows = await Promise.all(pair.map(async (org) => (await at(org, round).getOrg({})).org!));
      const calls = rows.map(({ version }, i) =>
        at(pair[i]!, round + i).updateOrg({ version, slug: rows[1 - i]!.slug }),
      );
      assert.deepEqual(await outcomes(calls), { SLUG_TAKEN: 2 });
    }
    await sold.store.query('drop index orgs_slowly');
  });

  it('keeps one open invite for an address', async () => {
    const org = await fresh();
    const invited = times(16, (i) =>
      at(org, i).createInvite({ email: i % 3 ? 'Bob@Race.test' : 'bob@race.test' }),
    );
    assert.deepEqual(await outcomes(invited), { none: 1, INVITE_PENDING: 15 });
    assert.equal((await counts(org.id))['invites'], 1);
  });

  it('lets one in by an invite, however many hold it', async () => {
    const org = await fresh();
    const byMail = secretOf((await org.owner.client.createInvite({ email: 'bob@one.test' })).url);
    const same = times(12, (i) => at(anyone(), i).acceptInvite({ secret: byMail, email: 'bob@one.test' }));
    assert.deepEqual(await outcomes(same), { none: 1, INVITE_USED: 11 });
    const link = secretOf((await org.owner.client.createInvite({})).url);
    const many = times(12, (i) => at(anyone(), i).acceptInvite({ secret: link, email: `p${i}@one.test` }));
    assert.deepEqual(await outcomes(many), { none: 1, INVITE_USED: 11 });
    const { members, keys } = await counts(org.id);
    assert.deepEqual([members, keys], [3, 3]);
    await atRest(org.id);
  });

  it('makes one member of an address that accepts several invites of an org at once', async () => {
    const orgs = await Promise.all(times(4, () => fresh()));
    const email = 'everywhere@race.test';
    const invited = orgs.map(async ({ owner }) => secretOf((await owner.client.createInvite({ email })).url));
    const secrets = await Promise.all(invited);
    const answers = await outcomes(
      secrets.map((secret, i) => at(anyone(), i).acceptInvite({ secret, email })),
    );
    assert.deepEqual(answers, { none: 4 });
    const [org] = orgs;
    const made = times(6, async () => secretOf((await org!.owner.client.createInvite({})).url));
    const links = await Promise.all(made);
    const twice = links.map((secret, i) => at(anyone(), i).acceptInvite({ secret, email: 'twin@race.test' }));
    assert.deepEqual(await outcomes(twice), { none: 1, ALREADY_MEMBER: 5 });
    await atRest(org!.id);
  });

  it('makes one thing under one idempotency key', async () => {
    const org = await fresh();
    const key = { idempotencyKey: 'once' };
    const policy = {
      level: 'user',
      subject: org.owner.user,
      name: 'mine',
      rules: [{ agents: '*', canBeSpawned: false }],
    };
    const makes: readonly ((client: Client) => Promise<{ readonly id: string; readonly secret: string }>)[] =
      [
        async (c) =>
          ((a) => ({ id: a.org!.id, secret: a.secret }))(await c.createOrg({ name: 'Once', ...key })),
        async (c) =>
          ((a) => ({ id: a.invite!.id, secret: a.url }))(await c.createInvite({ email: 'o@n.ce', ...key })),
        async (c) =>
          ((a) => ({ id: a.workspace!.id, secret: '' }))(await c.createWorkspace({ name: 'once', ...key })),
        async (c) =>
          ((a) => ({ id: a.key!.id, secret: a.secret }))(
            await c.createApiKey({ name: 'k', scopes: ['read'], ...key }),
          ),
        async (c) => ((a) => ({ id: a.policy!.id, secret: '' }))(await c.createPolicy({ policy, ...key })),
      ];
    const told = new Set<string>();
    for (const make of makes) {
      const answers = await Promise.all(times(10, (i) => make(at(org, i))));
      assert.equal(new Set(answers.map(({ id }) => id)).size, 1);
      for (const { secret } of answers) if (secret.startsWith('fwk_')) told.add(secret);
    }
    // A repeated createOrg replaces the key that was told before, as long as nobody has used it.
    const usable = await outcomes([...told].map((apiKey) => at(anyone(), 0).exchangeKey({ apiKey })));
    assert.equal(usable['none'], 2, 'the keys of createOrg and of createApiKey');
    const { workspaces, keys, invites, policies } = await counts(org.id);
    assert.deepEqual([workspaces, keys, invites, policies], [1, 2, 1, 1]);
  });

  it('never gives the key of another member to who repeats createOrg', async () => {
    const org = await fresh();
    const request = { name: 'Repeated', idempotencyKey: 'again' };
    const { org: made, secret } = await org.owner.client.createOrg(request);
    const owner = await sold.both(secret);
    for (const name of ['ann', 'bob']) {
      const { url } = await at(owner, 0).createInvite({ email: `${name}@repeated.test` });
      await at(anyone(), 1).acceptInvite({ secret: secretOf(url), email: `${name}@repeated.test` });
      const again = await at(org, 1).createOrg(request);
      assert.deepEqual(
        [again.org!.id, again.secret],
        [made!.id, ''],
        `${name} has not used the first key yet`,
      );
    }
  });

  it('never leaves an org without an owner, or with two', async () => {
    for (let round = 0; round < 12; round++) {
      const org = await fresh();
      const first = await joined(org, `first@r${round}.test`, 'admin');
      const second = await joined(org, `second@r${round}.test`, 'admin');
      const third = await joined(org, `third@r${round}.test`, 'member');
      const calls = [
        at(org, 0).leaveOrg({}),
        at(first, 1).leaveOrg({}),
        at(second, round).leaveOrg({}),
        at(org, 1).changeRole({ user: second.user, role: 'member', version: 1 }),
        at(org, 1).transferOwnership({ user: third.user }),
        at(first, 0).removeMember({ user: second.user }),
        at(second, 1).removeMember({ user: first.user }),
      ];
      // Another order of arrival each time.
      const turned = times(calls.length, (i) => calls[(i + round) % calls.length]!);
      const ended = await outcomes(turned);
      for (const reason of Object.keys(ended)) assert.ok(EXPECTED.has(reason), reason);
      const { owners, members } = await counts(org.id);
      assert.equal(owners, 1, `round ${round}: ${JSON.stringify(ended)}`);
      assert.ok(members! >= 1);
      await atRest(org.id);
    }
  });

  it('never exceeds a limit of members, workspaces or agents', async () => {
    const org = await fresh();
    const links = await Promise.all(
      times(8, async () => secretOf((await org.owner.client.createInvite({})).url)),
    );
    await sold.operator.changePlan({ org: org.id, plan: 'pro' });
    const came = links.map((secret, i) =>
      at(anyone(), i).acceptInvite({ secret, email: `m${i}@limit${count}.test` }),
    );
    assert.deepEqual(await outcomes(came), { none: 4, PLAN_LIMIT: 4 });
    const made = times(14, (i) => at(org, i).createWorkspace({ name: `w${i}` }));
    assert.deepEqual(await outcomes(made), { none: 5, PLAN_LIMIT: 9 });
    const { workspaces } = await org.owner.client.listWorkspaces({});
    const { id, version } = workspaces[0]!;
    await org.owner.client.updateWorkspace({ id, version, maxAgents: 3 });
    const put = times(12, (i) => at(org, i).assignAgent({ workspace: id, agent: `a${i}` }));
    assert.deepEqual(await outcomes(put), { none: 3, WORKSPACE_FULL: 9 });
    assert.equal((await sold.settled(org.id)).assignments.length, 3);
    await eventually(() => sold.billed(org.id).join() === 'price_pro:5');
  });

  it('counts seats right while people come and go at both replicas', async () => {
    const org = await fresh();
    const come = async (i: number) => {
      const { url } = await at(org, i).createInvite({ email: `p${i}@flow.test` });
      const { user } = await at(anyone(), i + 1).acceptInvite({
        secret: secretOf(url),
        email: `p${i}@flow.test`,
      });
      await at(org, i + 1).createWorkspace({ name: `of ${i}` });
      if (i % 3 === 0) await at(org, i).removeMember({ user });
    };
    const reads = times(30, (i) => at(org, i).listMembers({}));
    assert.deepEqual(await outcomes([...times(24, come), ...reads]), { none: 54 });
    assert.equal((await counts(org.id))['members'], 17);
    await atRest(org.id);
  });
});

/** What may come of leaving, removing and demoting at once; anything else is a fault. */
const EXPECTED = new Set([
  'none',
  'NO_ADMIN_TO_PROMOTE',
  'NOT_A_MEMBER',
  'TOKEN_REVOKED',
  'MEMBER_UNKNOWN',
  'ROLE_TOO_LOW',
  'OWNER_CANNOT_BE_REMOVED',
  'OWNER_ROLE_FIXED',
  'VERSION_MISMATCH',
]);
