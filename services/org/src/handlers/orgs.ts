/** GetOrg, ListOrgs, UpdateOrg, TransferOwnership. */

import { planByName } from '@fleetwire/access';
import type {
  GetOrgRequest,
  GetOrgResponse,
  ListOrgsRequest,
  ListOrgsResponse,
  TransferOwnershipRequest,
  TransferOwnershipResponse,
  UpdateOrgRequest,
  UpdateOrgResponse,
} from '@fleetwire/gen/org';
import { FleetwireError, lineViolation, printable } from '@fleetwire/kernel';
import { cutPage, readPage } from '@fleetwire/rpc';
import { checkSlug, slugTaken } from '../domain/slugs.ts';
import { refuseViolations, TEXT_LIMITS } from '../domain/texts.ts';
import { lockSlugs } from '../store/orgs.ts';
import { type Act, admitted, type Call, change, look } from './act.ts';
import { knownMember } from './members.ts';
import type { OrgParts } from './parts.ts';
import { shownOrg, shownOrgs } from './shown-org.ts';
import { unlessTaken } from './taken.ts';
import { checkVersion } from './versions.ts';

export function getOrg(parts: OrgParts, request: GetOrgRequest, call: Call): Promise<GetOrgResponse> {
  return look(parts, 'getOrg', call, request.org, async ({ query, org }) => ({
    org: await shownOrg(query, org.id),
  }));
}

export async function listOrgs(
  parts: OrgParts,
  request: ListOrgsRequest,
  call: Call,
): Promise<ListOrgsResponse> {
  await admitted(parts, 'listOrgs', call);
  const { size, after } = readPage(request);
  return parts.store.transaction(async ({ query }) => {
    const found = await shownOrgs(
      query,
      `where o.slug > $1 and ($2 = '' or o.status = $2) order by o.slug limit $3`,
      [after, request.status, size + 1],
    );
    const { shown, nextPageToken } = cutPage(found, size, (org) => org.slug);
    return { orgs: [...shown], nextPageToken };
  });
}

export async function updateOrg(
  parts: OrgParts,
  request: UpdateOrgRequest,
  call: Call,
): Promise<UpdateOrgResponse> {
  const { name, slug, settings, history, messageEvents } = request;
  refuseViolations('INVALID_ORG_NAME', [
    name === undefined ? undefined : lineViolation('name', name, TEXT_LIMITS.nameChars),
  ]);
  if (slug !== undefined) checkSlug(slug);
  checkChoice(history, HISTORY_MODES, 'INVALID_HISTORY', 'history cannot be kept as');
  checkChoice(messageEvents, EVENT_MODES, 'INVALID_MESSAGE_EVENTS', 'messages cannot be told as');
  const work = async (act: Act) => {
    const { query, org } = act;
    checkVersion(request.version, org.version);
    const sso = settings?.ssoEnabled ?? org.sso_enabled;
    if (sso && !org.sso_enabled && !planByName(org.plan)?.ssoAddon)
      throw planLacks(org.plan, 'single sign-on');
    if (slug !== undefined && slug !== org.slug) await lockSlugs(query);
    await query(
      `update orgs set name = $2, slug = $3, sso_enabled = $4, history = $5, message_events = $6,
         version = version + 1 where id = $1`,
      [
        org.id,
        name ?? org.name,
        slug ?? org.slug,
        sso,
        history ?? org.history,
        messageEvents ?? org.message_events,
      ],
    );
    act.about(org.id, given({ name, slug, history, message_events: messageEvents }));
    await act.tell('org_updated', org.id);
    return { org: await shownOrg(query, org.id) };
  };
  return unlessTaken(
    'orgs_slug_unique',
    () => slugTaken(slug!, undefined),
    () => change(parts, 'updateOrg', call, request.org, work),
  );
}

type Choices = Readonly<Record<string, string>>;

/** What may be kept of messages. */
const HISTORY_MODES: Choices = {
  full: '',
  metadata: 'all but bodies',
  off: 'only what became of messages',
};

/** What may be told of them as events. */
const EVENT_MODES: Choices = { off: '', metadata: 'all but texts', full: '' };

/** Throws invalid_argument `reason` for what is given and no choice. */
function checkChoice(given: string | undefined, choices: Choices, reason: string, what: string): void {
  if (given === undefined || Object.hasOwn(choices, given)) return;
  const names = Object.entries(choices).map(([name, means]) => (means === '' ? name : `${name} (${means})`));
  throw new FleetwireError('invalid_argument', reason, `${what} "${printable(given)}"`, {
    help: `Give one of these: ${names.join(', ')}.`,
  });
}

function given(values: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** Throws failed_precondition PLAN_FEATURE. */
export function planLacks(plan: string, feature: string): FleetwireError {
  return new FleetwireError('failed_precondition', 'PLAN_FEATURE', `the plan ${plan} has no ${feature}`, {
    help: 'The plan team has it.',
    details: { plan, lifted_by: 'team' },
  });
}

/** The former owner stays as an admin. */
export function transferOwnership(
  parts: OrgParts,
  request: TransferOwnershipRequest,
  call: Call,
): Promise<TransferOwnershipResponse> {
  return change(parts, 'transferOwnership', call, request.org, async (act) => {
    const { query, org, actor } = act;
    act.about(request.user);
    const target = await knownMember(act, request.user);
    if (target.user_id === actor) return {};
    const set = 'update memberships set role = $3, version = version + 1 where org = $1 and user_id = $2';
    // In this order: there is never a second owner, which the table refuses.
    await query(set, [org.id, actor, 'admin']);
    await query(set, [org.id, target.user_id, 'owner']);
    await act.tell('ownership_transferred', target.user_id, { from: actor });
    return {};
  });
}
