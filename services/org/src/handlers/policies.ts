/** CreatePolicy, ListPolicies, UpdatePolicy, DeletePolicy. */

import { checkPolicy, planByName } from '@fleetwire/access';
import { Policy } from '@fleetwire/gen/access';
import { encode } from '@fleetwire/gen/encode';
import type {
  CreatePolicyRequest,
  CreatePolicyResponse,
  DeletePolicyRequest,
  DeletePolicyResponse,
  ListPoliciesRequest,
  ListPoliciesResponse,
  UpdatePolicyRequest,
  UpdatePolicyResponse,
} from '@fleetwire/gen/org';
import { FleetwireError, newId, printable } from '@fleetwire/kernel';
import { cutPage, readPage } from '@fleetwire/rpc';
import { refuseShare } from '../domain/shares.ts';
import { refuseViolations } from '../domain/texts.ts';
import { countOf } from '../store/orgs.ts';
import { enabledPolicies, insertPolicy, policiesOf, policyById, rewritePolicy } from '../store/policies.ts';
import { type Act, type Call, change, look } from './act.ts';
import { knownMember } from './members.ts';
import { repeatedIn } from './once.ts';
import { planLacks } from './orgs.ts';
import type { OrgParts } from './parts.ts';
import { unlessTaken } from './taken.ts';
import { checkVersion } from './versions.ts';
import { ownWorkspace } from './workspaces.ts';

/** Below what admins set unless they say otherwise, so that a member overrides none of theirs at any level. */
const MEMBER_PRIORITY_MAX = -1;

export function createPolicy(
  parts: OrgParts,
  request: CreatePolicyRequest,
  call: Call,
): Promise<CreatePolicyResponse> {
  const policy = checked(request.policy);
  const work = async (act: Act) => {
    const { query, org, nowMs, actor } = act;
    await checkReach(act, policy);
    const id = newId('policy');
    const made = { ...policy, id, version: 1, createdBy: actor, createdAtMs: nowMs, updatedAtMs: nowMs };
    const earlier = await repeatedIn(act, request, async () => {
      await insertPolicy(query, org.id, made);
      if (act.role === 'member') await checkShare(parts, act);
      await checkBounds(parts, act);
      return id;
    });
    act.about(earlier ?? id, { name: policy.name, level: policy.level });
    if (earlier === undefined) await act.tell('policy_created', id);
    // A repetition may come when it is gone already.
    return { policy: await knownPolicy(act, earlier ?? id) };
  };
  return namedOnce(policy.name, () => change(parts, 'createPolicy', call, request.org, work));
}

export function listPolicies(
  parts: OrgParts,
  request: ListPoliciesRequest,
  call: Call,
): Promise<ListPoliciesResponse> {
  const { size, after } = readPage(request);
  const { level, subject } = request;
  return look(parts, 'listPolicies', call, request.org, async ({ query, org }) => {
    const rows = await policiesOf(query, org.id, { after, level, subject, limit: size + 1 });
    const { shown, nextPageToken } = cutPage(rows, size, (row) => row.id);
    return { policies: [...shown], nextPageToken };
  });
}

export function updatePolicy(
  parts: OrgParts,
  request: UpdatePolicyRequest,
  call: Call,
): Promise<UpdatePolicyResponse> {
  const wanted = request.policy ?? Policy.fromPartial({});
  const work = async (act: Act) => {
    const { query, org, nowMs } = act;
    act.about(wanted.id);
    const before = await knownPolicy(act, wanted.id);
    const policy = checked({ ...wanted, level: before.level, subject: before.subject });
    // Both: what it was and what it would be must be within the caller's reach.
    await checkReach(act, before);
    act.mustOwn(before.createdBy);
    await checkReach(act, policy);
    checkVersion(wanted.version, before.version);
    await rewritePolicy(query, org.id, { ...policy, id: before.id, updatedAtMs: nowMs });
    await checkBounds(parts, act);
    await act.tell('policy_updated', before.id);
    return { policy: await policyById(query, org.id, before.id) };
  };
  return namedOnce(wanted.name, () => change(parts, 'updatePolicy', call, request.org, work));
}

export function deletePolicy(
  parts: OrgParts,
  request: DeletePolicyRequest,
  call: Call,
): Promise<DeletePolicyResponse> {
  return change(parts, 'deletePolicy', call, request.org, async (act) => {
    act.about(request.id);
    const policy = await knownPolicy(act, request.id);
    await checkReach(act, policy, 'to delete it');
    act.mustOwn(policy.createdBy);
    await act.query('delete from policies where org = $1 and id = $2', [act.org.id, policy.id]);
    await act.tell('policy_deleted', policy.id);
    return {};
  });
}

/** Throws INVALID_POLICY with all that does not fit. */
export function checked(policy: Policy | undefined): Policy {
  const given = policy ?? Policy.fromPartial({});
  refuseViolations('INVALID_POLICY', checkPolicy(given));
  return given;
}

async function knownPolicy(act: Act, id: string): Promise<Policy> {
  const policy = await policyById(act.query, act.org.id, id);
  if (policy !== undefined) return policy;
  throw new FleetwireError('not_found', 'POLICY_UNKNOWN', 'there is no such policy in your org', {
    help: 'List the policies; the id begins with p_.',
  });
}

/**
 * Admins reach everything. Members reach what they have made for their own user and workspaces, with a priority that
 * overrides nobody; what an admin has made for them they do not change.
 * Throws ROLE_TOO_LOW, MEMBER_UNKNOWN, WORKSPACE_UNKNOWN, REPO_UNKNOWN, PLAN_FEATURE, PRIORITY_TOO_HIGH.
 */
async function checkReach(act: Act, policy: Policy, why?: 'to delete it'): Promise<void> {
  const { query, org } = act;
  if (policy.level === 'org') {
    // It is nobody's own.
    act.mustOwn('');
    // What a larger plan has left behind can go.
    if (why === undefined && !planByName(org.plan)?.orgPolicies)
      throw planLacks(org.plan, 'policies for the whole org');
    return;
  }
  if (policy.level === 'user') {
    act.mustOwn(policy.subject);
    await knownMember(act, policy.subject);
  } else if (policy.level === 'workspace') {
    await ownWorkspace(act, policy.subject);
  } else {
    const repos = await query<{ workspace: string }>(
      `select r.workspace from repos r join workspaces w on w.id = r.workspace and w.deleted_at_ms is null
       where r.org = $1 and r.id = $2`,
      [org.id, policy.subject],
    );
    if (repos[0] === undefined)
      throw new FleetwireError('not_found', 'REPO_UNKNOWN', 'there is no such repository in your org');
    await ownWorkspace(act, repos[0].workspace);
  }
  if (act.onOthers || policy.priority <= MEMBER_PRIORITY_MAX) return;
  throw new FleetwireError(
    'permission_denied',
    'PRIORITY_TOO_HIGH',
    `a member's policy has a priority of at most ${MEMBER_PRIORITY_MAX}`,
    { help: 'Lower it, or ask an admin: higher ones override the policies of the org.' },
  );
}

async function checkShare(parts: OrgParts, { query, org, actor }: Act): Promise<void> {
  const own = await countOf(query, 'policies where org = $1 and created_by = $2', [org.id, actor]);
  refuseShare(own - 1, parts.config.max_policies, 'policies');
}

/** What is published of an org has to fit into one entry. */
async function checkBounds(parts: OrgParts, act: Act): Promise<void> {
  const { max_policies: max, max_policy_bytes: maxBytes } = parts.config;
  const count = await countOf(act.query, 'policies where org = $1', [act.org.id]);
  const policies = await enabledPolicies(act.query, act.org.id);
  const bytes = policies.reduce((sum, policy) => sum + encode(Policy, policy).length, 0);
  if (count <= max && bytes <= maxBytes) return;
  throw new FleetwireError('resource_exhausted', 'POLICY_LIMIT', 'the org has too many policies', {
    help: `There may be ${max} with ${maxBytes} bytes together; delete some, or join rules by patterns.`,
    details: { policies: String(count), bytes: String(bytes) },
  });
}

const namedOnce = <T>(name: string, work: () => Promise<T>): Promise<T> =>
  unlessTaken('policies_name', () => nameTaken(name), work);

function nameTaken(name: string): FleetwireError {
  return new FleetwireError(
    'already_exists',
    'POLICY_NAME_TAKEN',
    `there is a policy "${printable(name)}" here`,
    {
      help: 'Choose another name, or update that one.',
    },
  );
}
