/**
 * Goal: whoever calls whatever, the answer is the one that the table of permissions gives. Method: every operation by every
 * kind of caller against the real service; what is expected is computed from the table, and what was refused or changed must
 * be in the audit. Ids of another org are compared, error by error, with ids that nobody has.
 */

import assert from 'node:assert/strict';
import { createTokenSigner } from '@fleetwire/identity';
import { FleetwireError, ID_PREFIXES, type IdType, newId } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import type { Store } from '@fleetwire/store';
import { after, before, describe, it } from 'mocha';
import { type Operation, PERMISSIONS } from '../src/domain/permissions.ts';
import { SCOPES } from '../src/domain/scopes.ts';
import { type Client, errorOf, type OrgWorld, type Person, startOrgWorld } from './fixture.ts';
import { CALLS, fresh, invoke, makeScene, requestFor, type Scene } from './matrix-calls.ts';

const CALLERS = [
  'owner',
  'admin',
  'member, on what is their own',
  'member, on what is not',
  'key that lacks the scope',
  'key with no other scope',
  'user who is no member any more',
  'owner of another org',
  'nobody',
  'node',
  'registry',
  'router',
  'operator',
] as const;
type CallerName = (typeof CALLERS)[number];

const OPERATIONS = Object.keys(PERMISSIONS) as Operation[];
/** After one that is allowed, the org is another. */
const USES_UP: readonly Operation[] = ['deleteOrg', 'leaveOrg', 'transferOwnership', 'restoreOrg'];
/** What the owner of another org is told who names things of this one. Answered: the lists that are empty then. */
const UNKNOWN: Partial<Record<Operation, string>> = {
  transferOwnership: 'MEMBER_UNKNOWN',
  changeRole: 'MEMBER_UNKNOWN',
  removeMember: 'MEMBER_UNKNOWN',
  revokeInvite: 'INVITE_UNKNOWN',
  updateWorkspace: 'WORKSPACE_UNKNOWN',
  reassignWorkspace: 'WORKSPACE_UNKNOWN',
  deleteWorkspace: 'WORKSPACE_UNKNOWN',
  assignAgent: 'WORKSPACE_UNKNOWN',
  unassignAgent: 'AGENT_NOT_ASSIGNED',
  listApiKeys: 'allowed',
  revokeApiKey: 'API_KEY_UNKNOWN',
  listJoinTokens: 'allowed',
  revokeJoinToken: 'JOIN_TOKEN_UNKNOWN',
  createPolicy: 'MEMBER_UNKNOWN',
  updatePolicy: 'POLICY_UNKNOWN',
  deletePolicy: 'POLICY_UNKNOWN',
};
/** Nothing happens when an org is cleared that nobody deletes. */
const changes = (operation: Operation) =>
  PERMISSIONS[operation].for !== 'anyone' && !/^(get|list|test|export|confirm)/.test(operation);

/** By the table alone: `allowed`, or the reason of the refusal. */
function expected(operation: Operation, caller: CallerName): string {
  const permission = PERMISSIONS[operation];
  if (permission.for === 'anyone') return 'allowed';
  if (caller === 'nobody') return 'TOKEN_MISSING';
  if (permission.for === 'services') return permission.services.includes(caller) ? 'allowed' : 'SERVICE_ONLY';
  const { scope, grants } = permission;
  const by = (grant: string) => (grant === 'no' ? 'ROLE_TOO_LOW' : 'allowed');
  switch (caller) {
    case 'owner':
      return by(grants.owner);
    case 'key with no other scope':
      // Reaching others, and handing the org over, takes the scope admin as well.
      return grants.member === 'own' || operation === 'leaveOrg' ? 'SCOPE_MISSING' : by(grants.owner);
    case 'admin':
      return by(grants.admin);
    case 'member, on what is their own':
    case 'member, on what is not':
      // Their tokens never have this scope, so the role is not even looked at.
      if (scope === 'admin') return 'SCOPE_MISSING';
      return grants.member === 'own' && caller === 'member, on what is not'
        ? 'ROLE_TOO_LOW'
        : by(grants.member);
    case 'key that lacks the scope':
      return scope === undefined ? by(grants.owner) : 'SCOPE_MISSING';
    case 'user who is no member any more':
      return 'NOT_A_MEMBER';
    case 'owner of another org':
      return operation === 'createOrg' ? 'allowed' : 'ORG_UNKNOWN';
    case 'operator':
      return permission.operator ? 'allowed' : 'NOT_A_USER';
    case 'node':
    case 'registry':
    case 'router':
      return 'NOT_A_USER';
  }
}

describe('authorization', function () {
  this.timeout(120_000);
  let world: OrgWorld;
  let service: RunningService;
  let store: Store;
  let services: Readonly<Record<'registry' | 'router' | 'operator', Client>>;
  let stranger: { readonly id: string; readonly owner: Person };
  let tested = 0;
  before(async () => {
    world = await startOrgWorld();
    service = await world.start();
    store = await world.store();
    const as = (name: string) => world.asService(service, name);
    services = {
      registry: await as('registry'),
      router: await as('router'),
      operator: await as('operator'),
    };
  });
  after(() => world?.[Symbol.asyncDispose]());
  beforeEach(async () => {
    // One for each operation: refusals of one actor are audited only so often.
    stranger = await world.otherOrg(service, fresh('stranger'));
  });

  const signed = async (signer: string, sub: string, org: string, scopes: readonly string[]) => {
    const { sign } = await createTokenSigner(world.keysDir, signer);
    const { token } = await sign({ sub, org, scopes, lifetimeMs: 60_000 });
    return world.client(service, () => token);
  };

  /** The caller's client, its name in the audit, and the org whose audit has it. */
  async function callerIn(
    scene: Scene,
    caller: CallerName,
    operation: Operation,
  ): Promise<{ client: Client; actor: string; org: string }> {
    const permission = PERMISSIONS[operation];
    const needed = permission.for === 'members' ? permission.scope : undefined;
    const org = scene.id;
    const person = ({ client, user: actor }: Person) => ({ client, actor, org });
    const keyed = async (scopes: readonly string[]) =>
      person({ ...scene.owner, client: await scene.keyed(scopes) });
    switch (caller) {
      case 'owner':
        return person(scene.owner);
      case 'admin':
        return person(scene.admin);
      case 'member, on what is their own':
      case 'member, on what is not':
        return person(scene.member);
      case 'key that lacks the scope':
        if (needed === undefined) return keyed(['send']);
        return keyed(SCOPES.filter((scope) => scope !== needed && scope !== 'admin'));
      case 'key with no other scope':
        return keyed([needed ?? 'send']);
      case 'user who is no member any more': {
        const actor = newId('user');
        return { actor, org, client: await signed('org', actor, org, SCOPES) };
      }
      case 'owner of another org':
        return { ...person(stranger.owner), org: stranger.id };
      case 'nobody':
        return { client: world.client(service), actor: '', org: '' };
      case 'node': {
        const actor = newId('node');
        return { actor, org, client: await signed('registry', actor, org, ['node']) };
      }
      case 'registry':
      case 'router':
      case 'operator':
        return { client: services[caller], actor: caller, org };
    }
  }

  async function checkCell(scene: Scene, operation: Operation, caller: CallerName): Promise<void> {
    const at = `${operation} by ${caller}`;
    const want = expected(operation, caller);
    const whose = caller === 'member, on what is not' ? scene.colleague : scene.member;
    const operator = caller === 'operator';
    const request = await requestFor(operation, scene, whose, operator);
    const { client, actor, org } = await callerIn(scene, caller, operation);
    if (operation === 'restoreOrg' && want === 'allowed') await scene.close();
    if (caller === 'owner of another org') await aimAtAnother(scene, operation, request, want);
    else assert.equal(outcome(await errorOf(invoke(client, operation, request))), want, at);
    tested += 1;
    const decision = want === 'allowed' ? 'allowed' : 'denied';
    // A service has no org, in whose audit its refusals could be.
    if (decision === 'denied' && (actor === '' || actor in services)) return;
    if (decision === 'allowed' && !changes(operation)) return;
    const [entry] = await store.query<{ reason: string }>(
      `select reason from audit where (org = $1 or $3 = 'org.create') and actor = $2 and action = $3 and decision = $4
       order by id desc limit 1`,
      [org, actor, PERMISSIONS[operation].action, decision],
    );
    assert.equal(entry?.reason, want === 'allowed' ? '' : want, `the audit of ${at}`);
  }

  /** Names this org, and then, in the own org, things of this one: neither may be told from what does not exist. */
  async function aimAtAnother(
    scene: Scene,
    operation: Operation,
    request: object,
    want: string,
  ): Promise<void> {
    const at = `${operation} from another org`;
    const told = async (what: object) => {
      try {
        return await invoke(stranger.owner.client, operation, what);
      } catch (error) {
        return withoutCause(error);
      }
    };
    const seen = await told(request);
    assert.equal(outcome(seen), want, at);
    if (!('org' in request) || want !== 'ORG_UNKNOWN') return;
    assert.equal(request.org, scene.id);
    assert.deepEqual(seen, await told({ ...request, org: newId('org') }), at);
    const { org: _, ...others } = request;
    const unknown = withOtherIds(others);
    assert.equal(
      UNKNOWN[operation] !== undefined,
      unknown !== undefined,
      `${at}: are there ids in its request?`,
    );
    if (unknown === undefined) return;
    const things = await told(others);
    assert.equal(outcome(things), UNKNOWN[operation], at);
    assert.deepEqual(things, await told(unknown), at);
  }

  for (const operation of OPERATIONS)
    it(`of ${operation} is as the table says`, async () => {
      const shared = await makeScene(world, service);
      for (const caller of CALLERS) {
        const usedUp = USES_UP.includes(operation) && expected(operation, caller) === 'allowed';
        await checkCell(usedUp ? await makeScene(world, service) : shared, operation, caller);
      }
    });

  it('was tested for every operation and caller', () => {
    assert.deepEqual(OPERATIONS.sort(), Object.keys(CALLS).sort());
    assert.equal(tested, OPERATIONS.length * CALLERS.length);
  });
});

const outcome = (seen: unknown) => (seen instanceof FleetwireError ? seen.reason : 'allowed');

/** All that a caller can see of it. */
function withoutCause(thrown: unknown): FleetwireError {
  assert.ok(thrown instanceof FleetwireError);
  const { kind, reason, message, help, details, violations } = thrown;
  return new FleetwireError(kind, reason, message, {
    details,
    violations,
    ...(help === undefined ? {} : { help }),
  });
}

/** The request with ids and names of agents that nobody has; undefined: there are none in it. */
function withOtherIds<T extends object>(request: T): T | undefined {
  let found = false;
  const text = JSON.stringify(request, (key, value) => {
    if (typeof value !== 'string') return value;
    const type = /^[a-z]_[0-9a-hjkmnp-tv-z]{16}$/.test(value) ? TYPES.get(value[0]!) : undefined;
    if (type === undefined && key !== 'agent') return value;
    found = true;
    return type === undefined ? fresh('agent') : newId(type);
  });
  return found ? JSON.parse(text) : undefined;
}

const TYPES = new Map(
  Object.entries(ID_PREFIXES).map(([type, letter]) => [letter as string, type as IdType]),
);
