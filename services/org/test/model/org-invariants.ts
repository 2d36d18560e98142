/** What must hold of orgs at any moment, and what once all has been told and billed: in the database, by the API, at others. */

import assert from 'node:assert/strict';
import { planByName, seatsOf } from '@fleetwire/access';
import type { OrgState } from '@fleetwire/gen/access';
import { eventually } from '@fleetwire/testkit';
import { reasonOf } from '../fixture.ts';
import type { SoldWorld } from '../sold-world.ts';
import type { Stage } from './operation.ts';
import type { Model, ModelOrg } from './org-model.ts';

/** After each operation: the tables are as the model is, and break no law whatever the model says. */
export async function checkTables({ sold: { store }, model }: Stage): Promise<void> {
  const ids = model.orgs.map(({ id }) => id);
  const strays = await store.query(
    `select m.org, m.user_id from memberships m left join orgs o on o.id = m.org left join users u on u.id = m.user_id
     where o.id is null or u.id is null or o.status = 'deleted'`,
  );
  assert.deepEqual(strays, [], 'memberships of nobody, or of nothing');
  const owners = await store.query(
    `select o.id, count(m.user_id) from orgs o left join memberships m on m.org = o.id and m.role = 'owner'
     where o.status = 'active' or o.status = 'deleting' and o.deletion_step <> 'delete_org'
     group by o.id having count(m.user_id) <> 1`,
  );
  assert.deepEqual(owners, [], 'orgs without one owner');
  const lost = await store.query(
    `select a.org, a.agent from assignments a left join workspaces w on w.id = a.workspace and w.org = a.org
     where w.id is null or w.deleted_at_ms is not null`,
  );
  assert.deepEqual(lost, [], 'agents that are assigned to nothing');
  const twice = await store.query(
    `select org, email_folded from invites where accepted_at_ms is null and revoked_at_ms is null
     and email_folded is not null group by org, email_folded having count(*) > 1`,
  );
  assert.deepEqual(twice, [], 'two open invites for one address');
  assert.deepEqual(await tables(store, ids), model.orgs.map(asTables).sort(byId));
}

interface Tables {
  readonly id: string;
  readonly status: string;
  readonly plan: string;
  readonly members: string;
  readonly workspaces: string;
  readonly agents: string;
  readonly keys: string;
  readonly invites: string;
}

function tables(store: SoldWorld['store'], ids: readonly string[]): Promise<Tables[]> {
  const joined = (what: string, from: string) =>
    `coalesce((select string_agg(${what}, ' ' order by (${what}) collate "C") from ${from}), '')`;
  return store.query<Tables>(
    `select o.id, o.status, o.plan,
       ${joined(`user_id || ':' || role || ':' || version`, 'memberships m where m.org = o.id')} as members,
       ${joined(
         `id || ':' || user_id || ':' || (status = 'suspended')`,
         'workspaces w where w.org = o.id and deleted_at_ms is null',
       )} as workspaces,
       ${joined(`agent || ':' || workspace`, 'assignments a where a.org = o.id')} as agents,
       ${joined('id', 'api_keys k where k.org = o.id and revoked_at_ms is null')} as keys,
       ${joined(
         `id || case when accepted_at_ms is not null then ':used'
           when revoked_at_ms is not null then ':revoked' else ':open' end`,
         'invites i where i.org = o.id',
       )} as invites
     from orgs o where o.id = any($1) order by o.id collate "C"`,
    [ids],
  );
}

function asTables(org: ModelOrg): Tables {
  const joined = (parts: readonly string[]) => [...parts].sort().join(' ');
  const there = org.status !== 'deleted';
  return {
    id: org.id,
    status: org.status,
    plan: org.plan,
    members: joined(there ? org.members.map((each) => `${each.user}:${each.role}:${each.version}`) : []),
    workspaces: joined(
      there ? org.workspaces.map(({ id, user, suspended }) => `${id}:${user}:${suspended}`) : [],
    ),
    agents: joined([...org.assignments].map(([agent, workspace]) => `${agent}:${workspace}`)),
    keys: joined(org.keys.filter(({ revoked }) => !revoked).map(({ id }) => id)),
    invites: joined(org.invites.map(({ id, state }) => `${id}:${state}`)),
  };
}

const byId = (a: Tables, b: Tables) => (a.id < b.id ? -1 : 1);

/** Once nothing more happens: what is published, billed and answered is what the model says. */
export async function checkAtRest(stage: Stage): Promise<void> {
  for (const org of stage.model.orgs) {
    const state = await stage.sold.settled(org.id);
    assert.deepEqual(stateOf(state), expectedState(org));
    await eventually(() => {
      assert.deepEqual(stage.sold.billed(org.id), org.bill);
      return true;
    });
    await checkAnswers(stage, org);
  }
  await checkRefused(stage.sold, stage.model);
}

const stateOf = (state: OrgState) => ({
  status: state.status,
  slug: state.slug,
  plan: state.plan,
  members: state.limits!.members,
  agents: state.limits!.agents,
  policies: state.policies.map(({ subject, name }) => `${subject}:${name}`).sort(),
  assignments: state.assignments.map((each) => `${each.agent}:${each.workspace}:${each.suspended}`).sort(),
  deletion: state.deletion,
});

const AGENTS: Readonly<Record<string, (members: number) => number>> = {
  free: () => 3,
  pro: () => 20,
  team: (members) => 50 * members,
  enterprise: () => -1,
};
const MEMBERS: Readonly<Record<string, number>> = { free: 1, pro: 5, team: -1, enterprise: -1 };

function expectedState(org: ModelOrg): ReturnType<typeof stateOf> {
  const open = org.status === 'active';
  const suspended = (id: string) => org.workspaces.find((workspace) => workspace.id === id)!.suspended;
  return {
    status: org.status,
    slug: org.slug,
    plan: org.plan,
    members: MEMBERS[org.plan]!,
    agents: AGENTS[org.plan]!(open ? org.members.length : 0),
    policies: open ? org.policies.map(({ subject, name }) => `${subject}:${name}`).sort() : [],
    assignments: open
      ? [...org.assignments].map(([agent, id]) => `${agent}:${id}:${suspended(id)}`).sort()
      : [],
    deletion: org.deletion,
  };
}

async function checkAnswers(stage: Stage, org: ModelOrg): Promise<void> {
  const { operator } = stage.sold;
  const shown = await eventually(async () => {
    const answer = (await operator.getOrg({ org: org.id })).org!;
    return (answer.billingStatus === 'active') === org.bill.length > 0 ? answer : undefined;
  });
  const members = org.status === 'deleted' ? 0 : org.members.length;
  assert.deepEqual([shown.members, shown.status, shown.plan], [members, org.status, org.plan]);
  if (org.status !== 'active') return;
  const listed = (await operator.listMembers({ org: org.id })).members;
  const roles = (list: readonly { user: string; role: string }[]) =>
    list.map(({ user, role }) => `${user}:${role}`).sort();
  assert.deepEqual(roles(listed), roles(org.members));
  const { seats, plan } = await operator.getPlan({ org: org.id });
  assert.equal(seats, seatsOf(planByName(plan!.name)!, org.members.length));
}

/** Tokens of one org that are tried at the end, the last ones. */
const TOKENS_TRIED = 5;

/** Keys that were revoked, one by one or with a membership, make no tokens, and what was revoked is worth nothing. */
async function checkRefused({ world, replicas }: SoldWorld, model: Model): Promise<void> {
  const dead = model.orgs.flatMap((org) => org.keys.filter(({ revoked }) => revoked));
  const tokens = model.orgs.flatMap(({ oldTokens }) => oldTokens.slice(-TOKENS_TRIED));
  for (const replica of replicas) {
    const anyone = world.client(replica);
    for (const { secret } of dead)
      assert.equal(await reasonOf(anyone.exchangeKey({ apiKey: secret })), 'API_KEY_REVOKED');
    anyone.close();
    for (const token of tokens) {
      const client = world.client(replica, () => token);
      await eventually(async () =>
        ['TOKEN_REVOKED', 'ORG_CLOSED'].includes(await reasonOf(client.getOrg({}))),
      );
      client.close();
    }
  }
}
