/**
 * Goal: a create that is repeated is done once, an update goes by what its author has seen, and lists come in whole pages.
 * Method: two replicas of the real service, one after the other and at once.
 */

import assert from 'node:assert/strict';
import type { RunningService } from '@fleetwire/runtime';
import { after, before, describe, it } from 'mocha';
import { type Client, errorOf, type OrgWorld, type Person, reasonOf, startOrgWorld } from './fixture.ts';

/** Creates something under an idempotency key; gives its id, and what is said only once. */
type Create = (client: Client, idempotencyKey: string, name: string) => Promise<{ id: string; once: string }>;

const rules = [{ agents: '*', maxSpawns: 1 }];
const CREATES: Readonly<Record<string, { readonly make: Create; readonly secret: boolean }>> = {
  org: {
    secret: true,
    make: async (client, idempotencyKey, name) => {
      const { org, secret } = await client.createOrg({ name, idempotencyKey });
      return { id: org!.id, once: secret };
    },
  },
  invite: {
    secret: true,
    make: async (client, idempotencyKey, name) => {
      const { invite, url } = await client.createInvite({ note: name, idempotencyKey });
      return { id: invite!.id, once: url };
    },
  },
  workspace: {
    secret: false,
    make: async (client, idempotencyKey, name) => {
      const { workspace } = await client.createWorkspace({ name, idempotencyKey });
      return { id: workspace!.id, once: '' };
    },
  },
  'API key': {
    secret: true,
    make: async (client, idempotencyKey, name) => {
      const { key, secret } = await client.createApiKey({ name, scopes: ['send'], idempotencyKey });
      return { id: key!.id, once: secret };
    },
  },
  policy: {
    secret: false,
    make: async (client, idempotencyKey, name) => {
      const { policy } = await client.createPolicy({ policy: { level: 'org', name, rules }, idempotencyKey });
      return { id: policy!.id, once: '' };
    },
  },
};

describe('repetitions', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  let one: RunningService;
  let two: RunningService;
  let boss: Person;
  let here: Client;
  let there: Client;
  before(async () => {
    world = await startOrgWorld();
    [one, two] = await Promise.all([world.start(), world.start()]);
    ({ owner: boss } = await world.otherOrg(one, 'repeats'));
    [here, there] = await Promise.all([world.as(one, boss.apiKey), world.as(two, boss.apiKey)]);
  });
  after(() => world?.[Symbol.asyncDispose]());

  for (const [what, { make, secret }] of Object.entries(CREATES)) {
    it(`make one ${what}, whichever replica is asked, and show its secret once`, async () => {
      const first = await make(here, 'a-1', 'First');
      const again = await make(there, 'a-1', 'First');
      // A key that nobody has used yet is replaced, or an answer that was lost would cost the org.
      const kept = what === 'org' ? again.once : '';
      assert.deepEqual(again, { id: first.id, once: kept });
      assert.notEqual(again.once === '', what === 'org');
      assert.equal(first.once !== '', secret);
      assert.equal(await reasonOf(make(there, 'a-1', 'Second')), 'IDEMPOTENCY_KEY_REUSED');
      assert.notEqual((await make(there, 'a-2', 'Third')).id, first.id);
      for (const key of ['x'.repeat(65), 'a b', 'ü'])
        assert.equal(await reasonOf(make(here, key, 'Fourth')), 'INVALID_IDEMPOTENCY_KEY', key);
    });

    it(`make one ${what}, though they come at once`, async () => {
      const runs = Array.from({ length: 8 }, (_, i) => make(i % 2 ? here : there, 'b-1', 'At once'));
      const answers = await Promise.all(runs);
      assert.equal(new Set(answers.map(({ id }) => id)).size, 1);
      const shown = what === 'org' ? 8 : secret ? 1 : 0;
      assert.equal(answers.filter(({ once }) => once !== '').length, shown);
    });
  }

  it('of what is gone meanwhile say so', async () => {
    const { id } = await CREATES['workspace']!.make(here, 'c-1', 'Gone');
    await there.deleteWorkspace({ id });
    assert.equal(await reasonOf(CREATES['workspace']!.make(there, 'c-1', 'Gone')), 'WORKSPACE_UNKNOWN');
    const policy = await CREATES['policy']!.make(here, 'c-1', 'Gone');
    await there.deletePolicy(policy);
    assert.equal(await reasonOf(CREATES['policy']!.make(there, 'c-1', 'Gone')), 'POLICY_UNKNOWN');
  });

  it('that were refused leave their key free', async () => {
    const make = CREATES['workspace']!.make;
    await make(here, '', 'Taken');
    assert.equal(await reasonOf(make(here, 'd-1', 'taken')), 'WORKSPACE_NAME_TAKEN');
    assert.equal(await reasonOf(make(there, 'd-1', 'Not taken')), 'none');
  });

  it('of an update by two who have read the same: one wins, the other is told', async () => {
    const bob = await world.join(one, boss.client, 'bob@repeats.test');
    const { workspace } = await here.createWorkspace({ name: 'Updated' });
    const { policy } = await here.createPolicy({ policy: { level: 'org', name: 'Updated', rules } });
    const { org } = await here.getOrg({});
    const updates: ((client: Client) => Promise<unknown>)[] = [
      (client) => client.updateOrg({ version: org!.version, name: 'Updated' }),
      (client) =>
        client.updateWorkspace({ id: workspace!.id, version: workspace!.version, status: 'stopped' }),
      (client) => client.updatePolicy({ policy: { ...policy, description: 'other' } }),
      (client) => client.changeRole({ user: bob.user, role: 'admin', version: 1 }),
    ];
    for (const update of updates) {
      const errors = await Promise.all([here, there, here, there].map((client) => errorOf(update(client))));
      const reasons = errors.map((error) => (error === undefined ? 'none' : error.reason)).sort();
      assert.deepEqual(reasons, ['VERSION_MISMATCH', 'VERSION_MISMATCH', 'VERSION_MISMATCH', 'none']);
      const told = errors.find((error) => error !== undefined)!;
      assert.equal(Number(told.details['present']), Number(told.details['given']) + 1);
    }
  });
});

describe('lists', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  let boss: Person;
  let operator: Client;
  before(async () => {
    world = await startOrgWorld();
    const service = await world.start();
    ({ owner: boss } = await world.otherOrg(service, 'lists'));
    operator = await world.operator(service);
    const { client } = boss;
    for (let i = 0; i < 3; i++) {
      await world.join(service, client, `m${i}@lists.test`);
      await client.createInvite({ email: `open${i}@lists.test` });
      await client.createWorkspace({ name: `w${i}` });
      await client.createApiKey({ name: `k${i}`, scopes: ['send'] });
      await client.createPolicy({ policy: { level: 'org', name: `p${i}`, rules } });
    }
  });
  after(() => world?.[Symbol.asyncDispose]());

  type Page = { readonly ids: readonly unknown[]; readonly next: string };
  type Read = (pageSize: number, pageToken: string) => Promise<Page>;
  const reads: () => Readonly<Record<string, Read>> = () => {
    const { client } = boss;
    return {
      members: async (pageSize, pageToken) => {
        const { members, nextPageToken: next } = await client.listMembers({ pageSize, pageToken });
        return { ids: members.map(({ user }) => user), next };
      },
      invites: async (pageSize, pageToken) => {
        const { invites, nextPageToken: next } = await client.listInvites({ pageSize, pageToken });
        return { ids: invites.map(({ id }) => id), next };
      },
      workspaces: async (pageSize, pageToken) => {
        const { workspaces, nextPageToken: next } = await client.listWorkspaces({ pageSize, pageToken });
        return { ids: workspaces.map(({ id }) => id), next };
      },
      keys: async (pageSize, pageToken) => {
        const { keys, nextPageToken: next } = await client.listApiKeys({ pageSize, pageToken });
        return { ids: keys.map(({ id }) => id), next };
      },
      policies: async (pageSize, pageToken) => {
        const { policies, nextPageToken: next } = await client.listPolicies({ pageSize, pageToken });
        return { ids: policies.map(({ id }) => id), next };
      },
      audit: async (pageSize, pageToken) => {
        const { entries, nextPageToken: next } = await client.listAudit({ pageSize, pageToken });
        return { ids: entries.map(({ id }) => id), next };
      },
      orgs: async (pageSize, pageToken) => {
        const { orgs, nextPageToken: next } = await operator.listOrgs({ pageSize, pageToken });
        return { ids: orgs.map(({ id }) => id), next };
      },
    };
  };

  it('come in pages of any size, each entry once, and in the same order', async () => {
    for (const [what, read] of Object.entries(reads())) {
      const whole = await read(4_294_967_295, '');
      assert.ok(whole.ids.length >= 2 && whole.next === '', what);
      assert.deepEqual(await read(0, ''), whole, what);
      for (const size of [1, 2, whole.ids.length]) {
        const ids: unknown[] = [];
        for (let token = ''; ; ) {
          const page = await read(size, token);
          ids.push(...page.ids);
          assert.ok(page.ids.length <= size, what);
          if (page.next === '') break;
          token = page.next;
        }
        assert.deepEqual(ids, whole.ids, what);
      }
    }
  });

  it('refuse what is no page token', async () => {
    for (const [what, read] of Object.entries(reads()))
      for (const token of ['*', 'AA', Buffer.from('a\0b').toString('base64url'), 'x'.repeat(2000)])
        assert.equal(await reasonOf(read(1, token)), 'INVALID_PAGE_TOKEN', `${what} ${token.slice(0, 9)}`);
  });
});
