/** A request for each operation that works for whoever may call it, and the orgs to call it in. */

import { createNodeKey } from '@fleetwire/identity';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import type { Operation } from '../src/domain/permissions.ts';
import { type Client, type OrgWorld, type Person, secretOf } from './fixture.ts';

/** An org with one of each role, and a colleague whose things are somebody else's to the member. */
export interface Scene {
  readonly id: string;
  readonly slug: string;
  readonly owner: Person;
  readonly admin: Person;
  readonly member: Person;
  readonly colleague: Person;
  /** Of its owner, with these scopes. */
  keyed(scopes: readonly string[]): Promise<Client>;
  /** One more member. */
  join(): Promise<Person>;
  /** Deletes it, to the end. */
  close(): Promise<void>;
}

let made = 0;
/** Taken by nobody. */
export const fresh = (word: string): string => `${word}-${++made}`;

export async function makeScene(world: OrgWorld, service: RunningService): Promise<Scene> {
  const slug = fresh('scene');
  const { id, owner } = await world.otherOrg(service, slug);
  const join = (role?: 'admin') =>
    world.join(service, owner.client, `${fresh(role ?? 'member')}@scene.test`, role);
  const [admin, member, colleague] = await Promise.all([join('admin'), join(), join()]);
  return {
    id,
    slug,
    owner,
    admin,
    member,
    colleague,
    join,
    keyed: async (scopes) => {
      const { secret } = await owner.client.createApiKey({ name: fresh('key'), scopes: [...scopes] });
      return world.as(service, secret);
    },
    close: async () => {
      await owner.client.deleteOrg({ confirmSlug: slug });
      const operator = await world.operator(service);
      const registry = await world.asService(service, 'registry');
      await eventually(async () => {
        await registry.confirmCleared({ org: id, deletion: 1 });
        return (await operator.getOrg({ org: id })).org!.status === 'deleted';
      });
    },
  };
}

/** `whose`: the member to whom it is done, or whose thing it is done to. */
type MakeRequest<O extends Operation> = (
  scene: Scene,
  whose: Person,
  operator: boolean,
) => Parameters<Client[O]>[0] | Promise<Parameters<Client[O]>[0]>;

const tool = (level: string, subject: string) => ({
  level,
  subject,
  name: fresh('policy'),
  priority: -1,
  rules: [{ agents: '*', allowedTools: { patterns: ['git'] } }],
});

const invited = async ({ owner }: Scene) =>
  owner.client.createInvite({ email: `${fresh('invited')}@scene.test` });
const secretOfInvite = async (scene: Scene) => secretOf((await invited(scene)).url);
const workspaceOf = async (whose: Person) =>
  (await whose.client.createWorkspace({ name: fresh('workspace') })).workspace!;
const policyOf = async (whose: Person) =>
  (await whose.client.createPolicy({ policy: tool('user', whose.user) })).policy!;
const versionOf = async ({ owner }: Scene, user: string) =>
  (await owner.client.listMembers({})).members.find((found) => found.user === user)!.version;

/** `org` is named wherever it can be. */
export const CALLS: { readonly [O in Operation]: MakeRequest<O> } = {
  exchangeKey: (_scene, whose) => ({ apiKey: whose.apiKey }),
  getSigningKeys: () => ({}),
  createOrg: (_scene, _whose, operator) => ({
    name: fresh('org'),
    ...(operator ? { ownerEmail: `${fresh('owner')}@scene.test` } : {}),
  }),
  getOrg: ({ id }) => ({ org: id }),
  listOrgs: () => ({}),
  updateOrg: async ({ id, owner }) => ({
    org: id,
    version: (await owner.client.getOrg({})).org!.version,
    name: fresh('name'),
  }),
  transferOwnership: ({ id }, whose) => ({ org: id, user: whose.user }),
  deleteOrg: ({ id, slug }) => ({ org: id, confirmSlug: slug }),
  restoreOrg: ({ id }) => ({ org: id }),
  confirmCleared: ({ id }) => ({ org: id, deletion: 1 }),
  listUnrevokedKeys: ({ id }) => ({ org: id, keys: ['k_none'] }),
  listMembers: ({ id }) => ({ org: id }),
  changeRole: async (scene, { user }) => {
    const version = await versionOf(scene, user);
    return { org: scene.id, user, role: 'member', version };
  },
  removeMember: async (scene) => ({ org: scene.id, user: (await scene.join()).user }),
  leaveOrg: ({ id }) => ({ org: id }),
  createInvite: ({ id }) => ({ org: id, email: `${fresh('invited')}@scene.test` }),
  listInvites: ({ id }) => ({ org: id }),
  revokeInvite: async (scene) => ({ org: scene.id, id: (await invited(scene)).invite!.id }),
  lookInvite: async (scene) => ({ secret: await secretOfInvite(scene) }),
  acceptInvite: async ({ owner }) => {
    const { url } = await owner.client.createInvite({});
    return { secret: secretOf(url), email: `${fresh('accepting')}@scene.test` };
  },
  createWorkspace: ({ id }) => ({ org: id, name: fresh('workspace') }),
  listWorkspaces: ({ id }) => ({ org: id }),
  updateWorkspace: async ({ id }, whose) => {
    const workspace = await workspaceOf(whose);
    return { org: id, id: workspace.id, version: workspace.version, status: 'stopped' };
  },
  reassignWorkspace: async ({ id, colleague }, whose) => ({
    org: id,
    id: (await workspaceOf(whose)).id,
    user: colleague.user,
  }),
  deleteWorkspace: async ({ id }, whose) => ({ org: id, id: (await workspaceOf(whose)).id }),
  assignAgent: async ({ id }, whose) => {
    const workspace = (await workspaceOf(whose)).id;
    return { org: id, workspace, agent: fresh('agent') };
  },
  unassignAgent: async (scene, whose) => {
    const agent = fresh('agent');
    await scene.owner.client.assignAgent({ workspace: (await workspaceOf(whose)).id, agent });
    return { org: scene.id, agent };
  },
  createApiKey: ({ id }) => ({ org: id, name: fresh('key'), scopes: ['account'] }),
  listApiKeys: ({ id }, whose) => ({ org: id, user: whose.user }),
  revokeApiKey: async ({ id }, whose) => {
    const { key } = await whose.client.createApiKey({ name: fresh('key'), scopes: ['send'] });
    return { org: id, id: key!.id };
  },
  createJoinToken: ({ id }) => ({ org: id }),
  listJoinTokens: ({ id }, whose) => ({ org: id, user: whose.user }),
  revokeJoinToken: async ({ id }, whose) => {
    await whose.client.createJoinToken({});
    const { tokens } = await whose.client.listJoinTokens({ user: whose.user, status: 'open' });
    return { org: id, id: tokens[0]!.id };
  },
  redeemJoinToken: async ({ owner }) => {
    const { joinToken } = await owner.client.createJoinToken({});
    return { joinToken, publicKey: createNodeKey().publicKey };
  },
  createPolicy: ({ id }, whose) => ({ org: id, policy: tool('user', whose.user) }),
  listPolicies: ({ id }) => ({ org: id }),
  updatePolicy: async ({ id }, whose) => ({
    org: id,
    policy: { ...(await policyOf(whose)), description: 'another' },
  }),
  deletePolicy: async ({ id }, whose) => ({ org: id, id: (await policyOf(whose)).id }),
  testPolicy: ({ id }) => ({ org: id, action: 'message', actor: 'alice', target: 'bob' }),
  getPlan: ({ id }) => ({ org: id }),
  listPlans: () => ({}),
  changePlan: ({ id }) => ({ org: id, plan: 'enterprise' }),
  setLimits: ({ id }) => ({ org: id, limits: { workspaces: 100, agents: 100, nodes: 100, members: 100 } }),
  getUsage: ({ id }) => ({ org: id }),
  listAudit: ({ id }) => ({ org: id }),
  exportAudit: ({ id }) => ({ org: id }),
};

export async function requestFor(
  operation: Operation,
  scene: Scene,
  whose: Person,
  operator: boolean,
): Promise<object> {
  const make = CALLS[operation] as MakeRequest<Operation>;
  return make(scene, whose, operator) as Promise<object>;
}

/** All answers of a call. */
export async function invoke(client: Client, operation: Operation, request: object): Promise<unknown> {
  const call = client[operation] as (request: object) => Promise<unknown> | AsyncIterable<unknown>;
  const answer = call.call(client, request);
  if (!(Symbol.asyncIterator in answer)) return answer;
  const parts = [];
  for await (const part of answer) parts.push(part);
  return parts;
}
