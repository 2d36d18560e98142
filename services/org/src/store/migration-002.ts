/** Migration 002: users apart from orgs, and all that tenants need. */

import { Migration } from '@fleetwire/store';

const ORGS = [
  `alter table orgs
    add column plan text not null default 'enterprise',
    add column limits jsonb,
    add column sso_enabled boolean not null default false,
    add column status text not null default 'active',
    add column deletion_step text,
    add column deletion int not null default 0,
    add column deleted_at_ms bigint,
    add column version bigint not null default 1,
    add column state_version bigint not null default 1,
    add column billing_status text not null default 'none',
    add column customer_id text,
    add column subscription_id text,
    add column billed_plan text,
    add column billed_seats int,
    add column billing_due_at_ms bigint,
    add column billing_failures int not null default 0`,
  ...[
    'plan',
    'sso_enabled',
    'status',
    'deletion',
    'version',
    'state_version',
    'billing_status',
    'billing_failures',
  ].map((column) => `alter table orgs alter column ${column} drop default`),
  'create index orgs_billing_due on orgs (billing_due_at_ms)',
  `create index orgs_deleting on orgs (id) where status = 'deleting'`,
  'create index orgs_customer on orgs (customer_id)',
  'create index orgs_subscription on orgs (subscription_id)',
  // What a key leaves open ends with it.
  'alter table join_tokens add column key_id text',
];

/** Before, a user belonged to one org; it stays the same person there. */
const PEOPLE = [
  `create table memberships (
    org text not null references orgs (id),
    user_id text not null references users (id),
    role text not null check (role in ('owner', 'admin', 'member')),
    invited_by text,
    joined_at_ms bigint not null,
    version bigint not null,
    primary key (org, user_id))`,
  `create unique index memberships_one_owner on memberships (org) where role = 'owner'`,
  'create index memberships_user on memberships (user_id)',
  `insert into memberships (org, user_id, role, joined_at_ms, version)
    select org, id, role, created_at_ms, 1 from users`,
  `alter table users add column email_folded text, add column default_org text,
    drop constraint users_org_email`,
  'update users set email_folded = lower(email), default_org = org',
  'alter table users alter column email_folded set not null, drop column org, drop column role',
  'alter table orgs drop column owner_email',
  `create table former_memberships (
    org text not null, user_id text not null, role text not null, invited_by text, joined_at_ms bigint not null,
    primary key (org, user_id))`,
  `create table invites (
    id text not null primary key,
    org text not null references orgs (id),
    email text,
    email_folded text,
    role text not null check (role in ('admin', 'member')),
    note text not null,
    token_hash text not null constraint invites_token_unique unique,
    invited_by text not null,
    created_at_ms bigint not null,
    expires_at_ms bigint not null,
    accepted_at_ms bigint,
    accepted_by text,
    revoked_at_ms bigint)`,
  'create index invites_org on invites (org)',
  `create table mails (
    id text not null primary key,
    org text not null,
    recipient text not null,
    subject text not null,
    body text not null,
    state text not null,
    attempts int not null,
    next_at_ms bigint not null,
    until_ms bigint not null,
    error text not null)`,
  'create index mails_org on mails (org)',
  'create index mails_due on mails (state, next_at_ms)',
];

const WORK = [
  `create table workspaces (
    id text not null primary key,
    org text not null references orgs (id),
    user_id text not null,
    name text not null,
    status text not null,
    status_before text,
    suspended_at_ms bigint,
    deleted_at_ms bigint,
    deletion int,
    max_agents int not null,
    resource_tier text not null,
    created_at_ms bigint not null,
    version bigint not null)`,
  'create index workspaces_org on workspaces (org)',
  'create unique index workspaces_name on workspaces (org, lower(name)) where deleted_at_ms is null',
  `create table repos (
    id text not null primary key,
    org text not null,
    workspace text not null references workspaces (id),
    url text not null,
    default_branch text not null,
    position int not null,
    constraint repos_workspace_url unique (workspace, url))`,
  `create table assignments (
    org text not null,
    agent text not null,
    agent_name text not null,
    workspace text not null references workspaces (id),
    repo text references repos (id),
    assigned_by text not null,
    assigned_at_ms bigint not null,
    primary key (org, agent))`,
  'create index assignments_workspace on assignments (workspace)',
  `create table revocations (
    org text not null, kind text not null, subject text not null,
    issued_until_ms bigint not null, until_ms bigint not null,
    primary key (org, kind, subject))`,
  'create index revocations_until on revocations (until_ms)',
  `create table policies (
    id text not null primary key,
    org text not null references orgs (id),
    level text not null,
    subject text not null,
    name text not null,
    description text not null,
    priority int not null,
    rules jsonb not null,
    disabled boolean not null,
    created_by text not null,
    created_at_ms bigint not null,
    updated_at_ms bigint not null,
    version bigint not null)`,
  'create index policies_org on policies (org)',
  'create unique index policies_name on policies (org, level, subject, lower(name))',
];

const RECORDS = [
  `create table audit (
    id bigserial primary key,
    org text not null,
    at_ms bigint not null,
    actor_kind text not null,
    actor text not null,
    action text not null,
    target text not null,
    decision text not null,
    reason text not null,
    peer text not null,
    details jsonb not null)`,
  'create index audit_org on audit (org, id)',
  'create index audit_at on audit (at_ms)',
  'create index audit_org_at on audit (org, at_ms)',
  // Retention says so in its own transaction, and reaches nothing of the last day; all else is refused.
  `create function audit_is_append_only() returns trigger language plpgsql as $$
    begin
      if tg_op = 'DELETE' and current_setting('fleetwire.audit_retention', true) = 'on'
        and old.at_ms < extract(epoch from clock_timestamp()) * 1000 - 86400000 then return old; end if;
      raise exception 'the audit is append-only' using errcode = 'restrict_violation';
    end $$`,
  `create trigger audit_append_only before update or delete on audit
    for each row execute function audit_is_append_only()`,
  `create trigger audit_no_truncate before truncate on audit
    for each statement execute function audit_is_append_only()`,
  `create table event_outbox (
    id bigserial primary key,
    event_id text not null,
    org text not null,
    name text not null,
    actor text not null,
    target text not null,
    details jsonb not null,
    at_ms bigint not null,
    traceparent text not null)`,
  `create table idempotency (
    org text not null, actor text not null, operation text not null, key text not null,
    request_hash text not null, resource text not null, created_at_ms bigint not null,
    primary key (org, actor, operation, key))`,
  'create index idempotency_created on idempotency (created_at_ms)',
  `create table usage_days (
    org text not null, day text not null,
    messages bigint not null, bytes bigint not null, agents bigint not null, nodes bigint not null,
    primary key (org, day))`,
  'create table billing_events (id text not null primary key, type text not null, received_at_ms bigint not null)',
  'create index billing_events_received on billing_events (received_at_ms)',
  // Every org that was there is told to the other services once.
  `insert into event_outbox (event_id, org, name, actor, target, details, at_ms, traceparent)
    select 'migrated-' || id, id, 'org_migrated', 'org', id, '{}', created_at_ms, '' from orgs`,
];

export class Tenants extends Migration {
  override up(): void {
    for (const statement of [...ORGS, ...PEOPLE, ...WORK, ...RECORDS]) this.addSql(statement);
  }
}
