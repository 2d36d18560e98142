/** Tables of the schema `org`: tenants and people. Moments are milliseconds since the epoch; secrets are kept as SHA-256 only. */

import type { Limits } from '@fleetwire/gen/access';
import { defineEntity, type InferEntity, p } from '@fleetwire/store';
import { accessEntities } from './access-entities.ts';
import { recordEntities } from './record-entities.ts';

const text = () => p.string().columnType('text');
const moment = () => p.bigint('number');

export const Org = defineEntity({
  name: 'Org',
  tableName: 'orgs',
  properties: {
    id: text().primary(),
    slug: text().unique(),
    name: text(),
    plan: text(),
    /** Instead of the plan's; -1 stands for no limit. */
    limits: p.json<Partial<Limits>>().columnType('jsonb').strictNullable(),
    ssoEnabled: p.boolean(),
    /** What delivery keeps of its messages: full, metadata or off. */
    history: text(),
    /** What delivery tells of its messages as events: off, metadata or full. */
    messageEvents: text(),
    /** active, deleting or deleted. */
    status: text(),
    /** The step of the deletion that is due; null unless deleting. */
    deletionStep: text().strictNullable(),
    /** Counts the deletions begun. */
    deletion: p.integer(),
    deletedAtMs: moment().strictNullable(),
    /** Grows with every change of the org's row that callers see: for optimistic updates. */
    version: moment(),
    /** Grows with every change that other services must know of: orders the published states. */
    stateVersion: moment(),
    createdAtMs: moment(),
    /** none, pending, active, past_due or cancelled. */
    billingStatus: text(),
    customerId: text().strictNullable().index('orgs_customer'),
    subscriptionId: text().strictNullable().index('orgs_subscription'),
    /** What the billing provider was last told. */
    billedPlan: text().strictNullable(),
    billedSeats: p.integer().strictNullable(),
    /** When what is billed has to be compared with what should be; null: nothing to do. */
    billingDueAtMs: moment().strictNullable().index('orgs_billing_due'),
    /** Failures since the last success; sets the pause before the next try. */
    billingFailures: p.integer(),
  },
  indexes: [
    {
      name: 'orgs_deleting',
      expression: `create index orgs_deleting on orgs (id) where status = 'deleting'`,
    },
  ],
});
export type OrgRow = InferEntity<typeof Org>;

/** A person, as who joined or made an org. The address is what they gave: nobody becomes another by giving theirs. */
export const User = defineEntity({
  name: 'User',
  tableName: 'users',
  properties: {
    id: text().primary(),
    email: text(),
    emailFolded: text(),
    /** The org that they joined or were made in first. */
    defaultOrg: text().strictNullable(),
    createdAtMs: moment(),
  },
});

export const Membership = defineEntity({
  name: 'Membership',
  tableName: 'memberships',
  properties: {
    org: text().primary(),
    userId: text().primary(),
    /** owner, admin or member; an org that is not deleted has exactly one owner. */
    role: text(),
    invitedBy: text().strictNullable(),
    joinedAtMs: moment(),
    version: moment(),
  },
  indexes: [
    { name: 'memberships_user', properties: ['userId'] },
    {
      name: 'memberships_one_owner',
      expression: `create unique index memberships_one_owner on memberships (org) where role = 'owner'`,
    },
  ],
});

/** The memberships of a deleted org, for its restoration. */
export const FormerMembership = defineEntity({
  name: 'FormerMembership',
  tableName: 'former_memberships',
  properties: {
    org: text().primary(),
    userId: text().primary(),
    role: text(),
    invitedBy: text().strictNullable(),
    joinedAtMs: moment(),
  },
});

/** Who was a member and is none any more; the newest of each org. */
export const FormerMember = defineEntity({
  name: 'FormerMember',
  tableName: 'departures',
  properties: { org: text().primary(), userId: text().primary(), atMs: moment() },
});

export const Invite = defineEntity({
  name: 'Invite',
  tableName: 'invites',
  properties: {
    id: text().primary(),
    org: text().index('invites_org'),
    /** Null: whoever has the link. */
    email: text().strictNullable(),
    emailFolded: text().strictNullable(),
    role: text(),
    note: text(),
    tokenHash: text().unique('invites_token_unique'),
    invitedBy: text(),
    createdAtMs: moment(),
    expiresAtMs: moment(),
    acceptedAtMs: moment().strictNullable(),
    acceptedBy: text().strictNullable(),
    revokedAtMs: moment().strictNullable(),
  },
});
export type InviteRow = InferEntity<typeof Invite>;

/** Letters to be sent. The text of one that was sent, or given up, is emptied: it holds the invite's secret. */
export const Mail = defineEntity({
  name: 'Mail',
  tableName: 'mails',
  properties: {
    /** Id of the invite. */
    id: text().primary(),
    org: text().index('mails_org'),
    recipient: text(),
    subject: text(),
    body: text(),
    /** waiting, sent or failed. */
    state: text(),
    attempts: p.integer(),
    nextAtMs: moment(),
    /** Given up then. */
    untilMs: moment(),
    error: text(),
  },
  indexes: [{ name: 'mails_due', properties: ['state', 'nextAtMs'] }],
});
export type MailRow = InferEntity<typeof Mail>;

export const Workspace = defineEntity({
  name: 'Workspace',
  tableName: 'workspaces',
  properties: {
    id: text().primary(),
    org: text().index('workspaces_org'),
    userId: text(),
    name: text(),
    /** provisioning, running, stopped, failed or suspended. */
    status: text(),
    /** What a suspended one was before. */
    statusBefore: text().strictNullable(),
    suspendedAtMs: moment().strictNullable(),
    deletedAtMs: moment().strictNullable(),
    /** The deletion of the org that took this workspace along; null for one that was deleted by itself. */
    deletion: p.integer().strictNullable(),
    maxAgents: p.integer(),
    resourceTier: text(),
    createdAtMs: moment(),
    version: moment(),
  },
  indexes: [
    {
      name: 'workspaces_name',
      expression:
        'create unique index workspaces_name on workspaces (org, lower(name)) where deleted_at_ms is null',
    },
  ],
});

export const Repo = defineEntity({
  name: 'Repo',
  tableName: 'repos',
  properties: {
    id: text().primary(),
    org: text(),
    workspace: text(),
    url: text(),
    defaultBranch: text(),
    position: p.integer(),
  },
  uniques: [{ name: 'repos_workspace_url', properties: ['workspace', 'url'] }],
});

export const Assignment = defineEntity({
  name: 'Assignment',
  tableName: 'assignments',
  properties: {
    org: text().primary(),
    /** Folded name of the agent. */
    agent: text().primary(),
    agentName: text(),
    workspace: text().index('assignments_workspace'),
    repo: text().strictNullable(),
    assignedBy: text(),
    assignedAtMs: moment(),
  },
});

export const entities = [
  Org,
  User,
  Membership,
  FormerMembership,
  FormerMember,
  Invite,
  Mail,
  Workspace,
  Repo,
  Assignment,
  ...accessEntities,
  ...recordEntities,
];
