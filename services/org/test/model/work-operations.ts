/** Operations of the property tests on workspaces, keys, policies, plans, and on the life of an org. */

import assert from 'node:assert/strict';
import { eventually } from '@fleetwire/testkit';
import { reasonOf } from '../fixture.ts';
import {
  ADMINS,
  ALL,
  actor,
  newKey,
  type Operation,
  OWNER,
  open,
  pick,
  refusals,
  type Stage,
} from './operation.ts';
import type { ModelKey, ModelOrg, ModelWorkspace } from './org-model.ts';

const createWorkspace: Operation = (stage, dice) => {
  const by = actor(stage, dice)!;
  const { org, key } = by;
  const name = `ws${dice.a % 6}`;
  const agentsMax = dice.b % 3;
  const expect = refusals(
    org.refusal(key, 'account', ALL),
    !org.hasRoom('workspaces', org.workspaces.length) && 'PLAN_LIMIT',
    org.workspaces.some((each) => each.name === name) && 'WORKSPACE_NAME_TAKEN',
  );
  return {
    says: `createWorkspace ${name}`,
    by,
    expect,
    run: async (client) => {
      const { workspace } = await client.createWorkspace({ name, maxAgents: agentsMax });
      org.workspaces.push({ id: workspace!.id, name, agentsMax, user: key.user, suspended: false });
    },
  };
};

interface OnWorkspace {
  readonly by: { readonly org: ModelOrg; readonly key: ModelKey };
  readonly workspace: ModelWorkspace;
  /** Why the caller may not act on it. */
  readonly refused: string | undefined;
}

/** Mostly one of the org's own; one of another org must look like none. */
function onWorkspace(
  stage: Stage,
  dice: Parameters<Operation>[1],
  scope: string,
  roles = ALL,
): OnWorkspace | undefined {
  const by = actor(stage, dice)!;
  const { org, key } = by;
  const foreign = dice.a % 9 === 8 || org.workspaces.length === 0;
  const list = foreign ? stage.model.orgs.flatMap((each) => each.workspaces) : org.workspaces;
  if (list.length === 0) return undefined;
  const workspace = pick(list, dice.a);
  const refused = refusals(
    org.refusal(key, scope, roles),
    !org.workspaces.includes(workspace) && 'WORKSPACE_UNKNOWN',
    org.foreign(key, workspace.user),
  );
  return { by, workspace, refused: refused === 'none' ? undefined : refused };
}

const reassign: Operation = (stage, dice) => {
  const on = onWorkspace(stage, dice, 'admin', ADMINS);
  if (on === undefined) return undefined;
  const { by, workspace, refused } = on;
  const user = pick([...by.org.members.map((member) => member.user), 'u_nobody'], dice.b);
  return {
    says: `reassign ${workspace.name} to ${user}`,
    by,
    expect: refusals(refused, by.org.member(user) === undefined && 'MEMBER_UNKNOWN'),
    run: async (client) => {
      const answer = await client.reassignWorkspace({ id: workspace.id, user });
      assert.equal(answer.workspace!.status, 'running');
      workspace.user = user;
      workspace.suspended = false;
    },
  };
};

const deleteWorkspace: Operation = (stage, dice) => {
  const on = onWorkspace(stage, dice, 'account');
  if (on === undefined) return undefined;
  const { by, workspace, refused } = on;
  return {
    says: `deleteWorkspace ${workspace.name}`,
    by,
    expect: refusals(refused),
    run: async (client) => {
      await client.deleteWorkspace({ id: workspace.id });
      by.org.dropWorkspace(workspace.id);
    },
  };
};

const assign: Operation = (stage, dice) => {
  const on = onWorkspace(stage, dice, 'admin', ADMINS);
  if (on === undefined) return undefined;
  const { by, workspace, refused } = on;
  const { org } = by;
  const agent = `agent${dice.b % 7}`;
  const at = org.assignments.get(agent);
  const present = [...org.assignments.values()].filter((id) => id === workspace.id).length;
  const expect = refusals(
    refused,
    workspace.suspended && 'WORKSPACE_SUSPENDED',
    at === undefined && !org.hasRoom('agents', org.assignments.size) && 'PLAN_LIMIT',
    at !== workspace.id && workspace.agentsMax > 0 && present >= workspace.agentsMax && 'WORKSPACE_FULL',
  );
  return {
    says: `assign ${agent} to ${workspace.name}${workspace.suspended ? ' (suspended)' : ''}`,
    by,
    expect,
    run: async (client) => {
      await client.assignAgent({ workspace: workspace.id, agent: agent.toUpperCase() });
      org.assignments.set(agent, workspace.id);
    },
  };
};

const unassign: Operation = (stage, dice) => {
  const by = actor(stage, dice)!;
  const { org, key } = by;
  const agent = `agent${dice.b % 7}`;
  const expect = refusals(
    org.refusal(key, 'admin', ADMINS),
    !org.assignments.has(agent) && 'AGENT_NOT_ASSIGNED',
  );
  return {
    says: `unassign ${agent}`,
    by,
    expect,
    run: async (client) => {
      await client.unassignAgent({ agent });
      org.assignments.delete(agent);
    },
  };
};

const createPolicy: Operation = (stage, dice) => {
  const on = onWorkspace(stage, dice, 'account');
  if (on === undefined) return undefined;
  const { by, workspace, refused } = on;
  const own = dice.b % 2 === 0;
  const level = own ? 'user' : 'workspace';
  const subject = own ? by.key.user : workspace.id;
  const name = `rule${dice.b % 5}`;
  const { org, key } = by;
  const taken = org.policies.some((each) => each.subject === subject && each.name === name);
  const refusedHere = own ? org.refusal(key, 'account', ALL) : refused;
  return {
    says: `createPolicy ${name} of ${level} ${subject}`,
    by,
    expect: refusals(refusedHere, taken && 'POLICY_NAME_TAKEN'),
    run: async (client) => {
      const policy = { level, subject, name, priority: -1, rules: [{ agents: '*', canBeSpawned: false }] };
      await client.createPolicy({ policy });
      org.policies.push({ subject, name });
    },
  };
};

const KEY_SCOPES = [['admin'], ['account', 'read'], ['send'], ['account', 'send', 'read', 'node-join']];

const createApiKey: Operation = (stage, dice) => {
  const by = actor(stage, dice)!;
  const { org, key } = by;
  const scopes = pick(KEY_SCOPES, dice.b);
  const expect = refusals(
    org.refusal(key, 'account', ALL),
    scopes.includes('admin') && org.member(key.user)?.role === 'member' && 'ROLE_TOO_LOW',
    scopes.some((scope) => !org.scopesOf(key).includes(scope)) && 'SCOPE_MISSING',
  );
  return {
    says: `createApiKey ${scopes.join()}`,
    by,
    expect,
    run: async (client) => {
      const { secret } = await client.createApiKey({ name: 'another', scopes });
      org.keys.push(await newKey(stage, key.user, secret, scopes));
    },
  };
};

const revokeApiKey: Operation = (stage, dice) => {
  const by = actor(stage, dice)!;
  const { org, key } = by;
  const target = pick(dice.a % 9 === 8 ? stage.model.orgs.flatMap((each) => each.keys) : org.keys, dice.b);
  const expect = refusals(
    org.refusal(key, 'account', ALL),
    !org.keys.includes(target) && 'API_KEY_UNKNOWN',
    org.foreign(key, target.user),
    !target.revoked && org.isLastAdminKey(target) && 'LAST_ADMIN_KEY',
  );
  return {
    says: `revokeApiKey ${target.id}`,
    by,
    expect,
    run: async (client) => {
      await client.revokeApiKey({ id: target.id });
      target.revoked = true;
      org.revokeTokens((other) => other === target);
    },
  };
};

/** A token that was good once; by event it is worth nothing at either replica. */
const useOldToken: Operation = (stage, dice) => {
  const old = stage.model.orgs.flatMap(({ oldTokens }) => oldTokens);
  if (old.length === 0) return undefined;
  const token = pick(old, dice.a);
  const { world, replicas } = stage.sold;
  return {
    says: 'useOldToken',
    by: world.client(replicas[dice.replica], () => token),
    expect: 'none',
    run: async (client) => {
      const refused = ['TOKEN_REVOKED', 'ORG_CLOSED'];
      await eventually(async () => refused.includes(await reasonOf(client.getOrg({}))));
    },
  };
};

const lookAtOther: Operation = (stage, dice) => {
  const by = actor(stage, dice)!;
  const other = pick(stage.model.orgs, dice.a);
  return {
    says: `getOrg ${other.slug}`,
    by,
    expect: other === by.org ? 'none' : 'ORG_UNKNOWN',
    run: async (client) => {
      const { org } = await client.getOrg({ org: other.id });
      assert.deepEqual(
        [org!.members, org!.plan, org!.status],
        [other.members.length, other.plan, other.status],
      );
    },
  };
};

const changePlan: Operation = (stage, dice) => {
  const asOperator = dice.b % 4 === 3;
  const by = actor(stage, dice)!;
  const { org, key } = by;
  const plan = pick(['team', 'pro', 'free', 'team', 'enterprise'], dice.a);
  const expect = asOperator
    ? refusals(org.status !== 'active' && 'ORG_CLOSED')
    : refusals(
        org.refusal(key, 'admin', OWNER), // A plan that the org has already is no order.
        plan === 'enterprise' && org.plan !== plan && 'CONTACT_SALES',
      );
  return {
    says: `changePlan of ${org.slug} to ${plan}`,
    by: asOperator ? stage.sold.operator : by,
    expect,
    run: async (client) => {
      await client.changePlan({ org: org.id, plan });
      org.plan = plan;
    },
  };
};

const deleteOrg: Operation = (stage, dice) => {
  const by = actor(stage, dice)!;
  const { org, key } = by;
  const slip = dice.b % 4 === 3;
  const expect = refusals(org.refusal(key, 'admin', OWNER), slip && 'CONFIRM_SLUG');
  return {
    says: `deleteOrg ${org.slug}`,
    by,
    expect,
    run: async (client) => {
      await client.deleteOrg({ confirmSlug: slip ? 'another' : org.slug });
      org.status = 'deleting';
      org.deletion += 1;
      org.revokeTokens(() => true);
      await stage.sold.deletionAt(org.id, 'clear_agents');
    },
  };
};

/** The registry has cleared the org; a late word about an earlier deletion changes nothing. */
const confirmCleared: Operation = (stage, dice) => {
  const closing = stage.model.orgs.filter(({ status }) => status === 'deleting');
  const org = closing.length > 0 && dice.a % 4 !== 3 ? pick(closing, dice.a) : pick(stage.model.orgs, dice.a);
  const deletion = dice.b % 4 === 3 ? org.deletion - 1 : org.deletion;
  return {
    says: `confirmCleared ${org.slug} ${deletion}`,
    by: stage.sold.registry,
    expect: 'none',
    run: async (client) => {
      await client.confirmCleared({ org: org.id, deletion });
      if (org.status !== 'deleting' || deletion !== org.deletion) return;
      await stage.sold.deletionAt(org.id, null);
      org.close();
    },
  };
};

const restoreOrg: Operation = (stage, dice) => {
  const closed = stage.model.orgs.filter(({ status }) => status !== 'active');
  const org = closed.length > 0 && dice.a % 4 !== 3 ? pick(closed, dice.a) : pick(stage.model.orgs, dice.a);
  return {
    says: `restoreOrg ${org.slug}`,
    by: stage.sold.operator,
    expect: org.status === 'active' ? 'ORG_NOT_DELETED' : 'none',
    run: async (client) => {
      await client.restoreOrg({ org: dice.b % 2 === 0 ? org.slug : org.id });
      org.reopen();
      await open(stage, org);
    },
  };
};

export const WORK = {
  createWorkspace,
  reassign,
  deleteWorkspace,
  assign,
  unassign,
  createPolicy,
  createApiKey,
  revokeApiKey,
  useOldToken,
  lookAtOther,
  changePlan,
  deleteOrg,
  confirmCleared,
  restoreOrg,
} satisfies Record<string, Operation>;
