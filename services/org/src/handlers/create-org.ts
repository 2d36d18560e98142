/** CreateOrg: a new org with its owner, the owner's first API key, and a plan. */

import { planByName } from '@fleetwire/access';
import type { CreateOrgRequest, CreateOrgResponse } from '@fleetwire/gen/org';
import { hashSecret, newApiKey } from '@fleetwire/identity';
import { FleetwireError, invariant, lineViolation, newId, printable } from '@fleetwire/kernel';
import { callerOf } from '@fleetwire/rpc';
import { isConflict, type StoreTransaction } from '@fleetwire/store';
import { FIRST_KEY, keyPrefix } from '../domain/api-keys.ts';
import { grantOf, isOperator } from '../domain/authorize.ts';
import { PERMISSIONS, type Role } from '../domain/permissions.ts';
import { checkSlug, slugChoice, slugOf, slugTaken } from '../domain/slugs.ts';
import { checkEmail, foldEmail, refuseViolations, TEXT_LIMITS } from '../domain/texts.ts';
import { ApiKey } from '../store/access-entities.ts';
import { addMember, billingDue, countOf, insertOrg, membershipOf, newUser } from '../store/orgs.ts';
import { writeAudit, writeEvent } from '../store/records.ts';
import { admitted, type Call, kindOf, orgUnknown, refuse } from './act.ts';
import { firstKey } from './first-key.ts';
import { repeated } from './once.ts';
import { nowMs, type OrgParts } from './parts.ts';
import { shownOrg } from './shown-org.ts';

/** Slugs made of a name get a number when they are taken; so many are tried. */
const SLUG_TRIES = 20;

export async function createOrg(
  parts: OrgParts,
  request: CreateOrgRequest,
  call: Call,
): Promise<CreateOrgResponse> {
  const caller = await admitted(parts, 'createOrg', call);
  if (caller.kind === 'user') await refuseFormer(parts, call);
  refuseViolations('INVALID_ORG_NAME', [lineViolation('name', request.name, TEXT_LIMITS.nameChars)]);
  const plan = checkPlan(request.plan === '' ? parts.defaultPlan : request.plan);
  if (request.plan !== '' && request.plan !== parts.defaultPlan && caller.kind === 'user')
    checkOrdered(parts, request.plan);
  const given = request.slug === '' ? undefined : checkSlug(request.slug);
  const wanted = given ?? slugOf(request.name);
  const owner = ownerOf(request, call) ?? (await refuse(parts, 'createOrg', call, ownerIsCaller()));
  for (let attempt = 0; ; attempt++) {
    const slug = slugChoice(wanted, attempt);
    try {
      const answer = await parts.store.transaction((tx) =>
        create(parts, request, call, tx, slug, plan, owner),
      );
      parts.committed();
      return answer;
    } catch (error) {
      if (!isConflict(error, 'orgs_slug_unique')) throw error;
      if (given !== undefined || attempt >= SLUG_TRIES) throw slugTaken(slug, await freeSlug(parts, wanted));
    }
  }
}

/** Who was removed may do nothing more with the token of then. Throws NOT_A_MEMBER. */
async function refuseFormer(parts: OrgParts, call: Call): Promise<void> {
  const { org, subject } = callerOf(call);
  const membership = await membershipOf((sql, params) => parts.store.query(sql, params), org, subject);
  const granted = grantOf('createOrg', membership?.role as Role | undefined);
  if (granted instanceof FleetwireError) await refuse(parts, 'createOrg', call, granted);
}

/** Throws PLAN_UNKNOWN. */
export function checkPlan(name: string): string {
  if (planByName(name) !== undefined) return name;
  throw new FleetwireError('invalid_argument', 'PLAN_UNKNOWN', `there is no plan "${printable(name)}"`, {
    help: 'Use free, pro, team or enterprise.',
    violations: [{ field: 'plan', description: 'must be free, pro, team or enterprise' }],
  });
}

/**
 * What people may order by themselves: where plans are sold, all but enterprise; where they are not, none, or a limit set by
 * the operator would be no limit. Throws failed_precondition CONTACT_SALES, PLAN_NOT_SOLD.
 */
export function checkOrdered(parts: OrgParts, plan: string): void {
  if (parts.sold && plan !== 'enterprise') return;
  if (parts.sold) throw contactSales();
  throw new FleetwireError('failed_precondition', 'PLAN_NOT_SOLD', 'plans are not sold here', {
    help: 'Ask the operator of this fabric to change it.',
  });
}

function contactSales(): FleetwireError {
  return new FleetwireError(
    'failed_precondition',
    'CONTACT_SALES',
    'the plan enterprise is agreed on, not ordered',
    {
      help: 'Ask the operator of this fabric.',
    },
  );
}

type Owner = { readonly user: string } | { readonly email: string };

/** The caller, or whom the operator names; undefined: a caller may not name anybody else. */
function ownerOf(request: CreateOrgRequest, call: Call): Owner | undefined {
  const caller = callerOf(call);
  if (isOperator(caller)) return { email: checkEmail(request.ownerEmail) };
  return request.ownerEmail === '' ? { user: caller.subject } : undefined;
}

function ownerIsCaller(): FleetwireError {
  return new FleetwireError(
    'permission_denied',
    'OWNER_IS_CALLER',
    'you would be the owner of the org you make',
    {
      help: 'Leave owner_email out, and hand the org over later.',
    },
  );
}

async function create(
  parts: OrgParts,
  request: CreateOrgRequest,
  call: Call,
  tx: StoreTransaction,
  slug: string,
  plan: string,
  owner: Owner,
): Promise<CreateOrgResponse> {
  const { query } = tx;
  const caller = callerOf(call);
  const at = nowMs(parts.clock);
  const id = newId('org');
  const secret = newApiKey();
  const { idempotencyKey: key, ...rest } = request;
  const once = { org: '', actor: caller.subject, operation: 'createOrg', key, request: rest };
  const earlier = await repeated(query, once, at, async () => {
    const made = { id, slug, name: request.name, plan };
    const inserted = await insertOrg(query, made, at, parts.secondOrg());
    invariant(inserted, 'a new id is free');
    const user =
      'user' in owner
        ? owner.user
        : await newUser(
            query,
            { id: newId('user'), email: owner.email, folded: foldEmail(owner.email), org: id },
            at,
          );
    await refuseTooMany(parts, query, user);
    await addMember(query, { org: id, user, role: 'owner', invitedBy: null }, at);
    await tx.em.insert(ApiKey, firstKey(id, user, secret, at));
    await billingDue(query, id, at);
    const said = { org: id, actor: caller.subject, target: id, atMs: at };
    await writeEvent(query, {
      ...said,
      name: 'org_created',
      details: { slug, plan },
      traceparent: call.traceparent,
    });
    await writeAudit(query, {
      ...said,
      actorKind: kindOf(caller),
      action: PERMISSIONS.createOrg.action,
      decision: 'allowed',
      peer: call.peer,
      details: { slug, plan },
    });
    return id;
  });
  const told = earlier === undefined ? secret : await replacedKey(query, earlier, call);
  return { org: await shownOrg(query, earlier ?? id), secret: told };
}

/**
 * Whoever repeats the call may never have got the answer. A key that nobody has used is replaced by one that they get now;
 * of one in use nothing is said, and nothing of the first keys of members, which are younger than the org. Throws
 * ORG_UNKNOWN for who has left the org since.
 */
async function replacedKey(query: StoreTransaction['query'], org: string, call: Call): Promise<string> {
  const caller = callerOf(call);
  if (caller.kind === 'user' && (await membershipOf(query, org, caller.subject)) === undefined)
    throw orgUnknown();
  const secret = newApiKey();
  const replaced = await query(
    `update api_keys set hash = $2, prefix = $3
     where org = $1 and name = $4 and created_at_ms = (select created_at_ms from orgs where id = $1)
       and last_used_at_ms is null and revoked_at_ms is null returning id`,
    [org, hashSecret(secret), keyPrefix(secret), FIRST_KEY],
  );
  return replaced.length === 1 ? secret : '';
}

async function refuseTooMany(parts: OrgParts, query: StoreTransaction['query'], user: string): Promise<void> {
  const { max_orgs_per_user: max } = parts.config;
  await query('select id from users where id = $1 for update', [user]);
  const owned = await countOf(query, `memberships where user_id = $1 and role = 'owner'`, [user]);
  if (owned < max) return;
  throw new FleetwireError('resource_exhausted', 'ORG_LIMIT', `you own ${max} orgs already`, {
    help: 'Delete one that nobody needs, or hand it over.',
  });
}

async function freeSlug(parts: OrgParts, wanted: string): Promise<string | undefined> {
  const choices = Array.from({ length: SLUG_TRIES }, (_, i) => slugChoice(wanted, i + 1));
  const rows = await parts.store.query<{ slug: string }>('select slug from orgs where slug = any($1)', [
    choices,
  ]);
  const taken = new Set(rows.map(({ slug }) => slug));
  return choices.find((slug) => !taken.has(slug));
}
