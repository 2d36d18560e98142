/** How the schema `registry` came to be, oldest first. Never edit one that was released. */

import { Migration, type MigrationEntry } from '@fleetwire/store';

class CreateTables extends Migration {
  override up(): void {
    this.addSql(`create table nodes (
      id text not null primary key,
      org text not null,
      name text not null,
      folded text not null,
      public_key text not null constraint nodes_public_key_unique unique,
      partition integer not null,
      shard integer not null,
      status text not null,
      version text not null,
      platform text not null,
      agents integer not null,
      joined_at_ms bigint not null,
      last_seen_at_ms bigint not null,
      constraint nodes_org_name unique (org, folded))`);
    this.addSql('create index nodes_last_seen on nodes (status, last_seen_at_ms)');
    this.addSql(`create table agents (
      id text not null primary key,
      org text not null,
      name text not null,
      folded text not null,
      node text not null constraint agents_node_fk references nodes (id),
      adapter text not null,
      registered_at_ms bigint not null,
      epoch bigint not null,
      constraint agents_org_name unique (org, folded))`);
    this.addSql('create index agents_node on agents (node)');
    this.addSql('create sequence route_epochs');
    this.addSql('create table secrets (name text not null primary key, value bytea not null)');
  }
}

/**
 * A row for each org is what its joins and, under a limit, its registrations wait for each other at. `cleared` is the
 * deletion for which its nodes were removed last; a node says which one it joined after.
 */
class FollowOrgs extends Migration {
  override up(): void {
    this.addSql(`create table orgs (
      org text not null primary key,
      cleared bigint not null) with (fillfactor = 50)`);
    this.addSql('alter table nodes add column deletion bigint not null default 0');
  }
}

/** By PostgreSQL's own clock, so that replicas find what has changed since they looked, whoever changed it. */
const NODE_NOTED = `create function node_noted() returns trigger language plpgsql as $$
  begin
    new.noted_at_ms := (extract(epoch from clock_timestamp()) * 1000)::bigint;
    return new;
  end $$`;

/** Whoever adds or takes agents counts them at their node: by this what is remembered of its roster is told from stale. */
const ROSTER_CHANGED = `create function roster_changed() returns trigger language plpgsql as $$
  begin
    new.roster := old.roster + 1;
    return new;
  end $$`;

/** Owners, facts, keys and moves of nodes; what agents say of themselves; channels and groups. */
class FollowMachines extends Migration {
  override up(): void {
    this.addSql(`alter table nodes
      add column owner text not null default '',
      add column protocol integer not null default 1,
      add column host text not null default '',
      add column instance text not null default '',
      add column machine text not null default '',
      add column contender text not null default '',
      add column contender_at_ms bigint not null default 0,
      add column facts jsonb not null default '{}',
      add column draining boolean not null default false,
      add column left_at_ms bigint not null default 0,
      add column shut_out text not null default '',
      add column rotate boolean not null default false,
      add column old_public_key text,
      add column old_key_until_ms bigint not null default 0,
      add column issued_after_s bigint not null default 0,
      add column epoch bigint not null default 0,
      add column revision integer not null default 0,
      add column roster bigint not null default 0,
      add column noted_at_ms bigint not null default 0,
      add column used_nonces text[] not null default '{}'`);
    this.addSql('create index nodes_noted on nodes (noted_at_ms)');
    this.addSql('create index nodes_owner on nodes (org, owner)');
    this.addSql('create index nodes_old_key on nodes (old_key_until_ms) where old_public_key is not null');
    this.addSql(NODE_NOTED);
    this.addSql(
      'create trigger nodes_noted before insert or update on nodes for each row execute function node_noted()',
    );
    this.addSql(ROSTER_CHANGED);
    this.addSql(
      'create trigger nodes_roster before update of agents on nodes for each row execute function roster_changed()',
    );
    this.addSql(`create table removed_keys (
      public_key text not null primary key,
      org text not null,
      node text not null,
      shard integer not null,
      reason text not null,
      removed_at_ms bigint not null,
      until_s bigint not null,
      told boolean not null)`);
    this.addSql('create index removed_keys_org on removed_keys (org)');
    this.addSql('create index removed_keys_node on removed_keys (node)');
    this.addSql('create index removed_keys_removed on removed_keys (removed_at_ms)');
    this.addSql('create index removed_keys_untold on removed_keys (org) where not told');
    this.addSql(`alter table agents
      add column model text not null default '',
      add column capabilities text[] not null default '{}',
      add column tools text[],
      add column repo text not null default '',
      add column visibility text not null default 'isolated',
      add column policy_group text not null default '',
      add column location jsonb not null default '{}',
      add column movable boolean not null default false,
      add column suspended boolean not null default false`);
    this.addSql('create table dismissed (id text not null primary key, removed_at_ms bigint not null)');
    this.addSql('create index dismissed_at on dismissed (removed_at_ms)');
    this.addSql(`create table channels (
      id text not null primary key,
      org text not null,
      kind text not null,
      name text not null,
      folded text not null,
      created_by text not null,
      created_at_ms bigint not null,
      epoch bigint not null,
      written_epoch bigint not null default 0,
      deletion bigint not null default 0,
      constraint channels_org_name unique (org, kind, folded))`);
    this.addSql(`create table channel_members (
      channel text not null references channels (id) on delete cascade,
      agent text not null references agents (id) on delete cascade,
      primary key (channel, agent))`);
    this.addSql('create index channel_members_agent on channel_members (agent)');
    this.addSql('create index channels_unwritten on channels (id) where epoch > written_epoch');
    this.#countMemberships();
    this.addSql(`create table moves (
      agent text not null,
      epoch bigint not null,
      org text not null,
      from_node text not null,
      from_shard integer not null,
      to_node text not null,
      to_shard integer not null,
      reason text not null,
      state text not null,
      started_at_ms bigint not null,
      changed_at_ms bigint not null,
      primary key (agent, epoch))`);
    this.addSql('create index moves_state on moves (state, changed_at_ms)');
    this.addSql('create index moves_from on moves (from_node, state)');
  }

  /** Whoever changes a membership, also by removing an agent, makes the channel's route out of date. */
  #countMemberships(): void {
    this.addSql(`create function count_memberships() returns trigger language plpgsql as $$
      begin
        update channels set epoch = nextval('route_epochs')
          where id in (select distinct channel from changed_members);
        return null;
      end $$`);
    for (const [what, table] of [
      ['insert', 'new'],
      ['delete', 'old'],
    ]) {
      this.addSql(`create trigger channel_members_${what} after ${what} on channel_members
        referencing ${table} table as changed_members
        for each statement execute function count_memberships()`);
    }
  }
}

/** Programs outside that follow streams of their org. */
class FollowSubscribers extends Migration {
  override up(): void {
    this.addSql(`create table subscriptions (
      org text not null,
      what text not null,
      name text not null,
      filter text not null,
      owner text not null,
      api_key text not null,
      public_key text not null constraint subscriptions_public_key_unique unique,
      created_at_ms bigint not null,
      opened_at_ms bigint not null,
      deletion bigint not null,
      primary key (org, what, name))`);
  }
}

/**
 * Receipts about an agent's mail come from where it was, also late: by a trigger, so that whatever moves or removes an agent,
 * this is in the same transaction.
 */
class FormerHomes extends Migration {
  override up(): void {
    this.addSql(`create table former_homes (
      agent text not null,
      node text not null,
      org text not null,
      left_at_ms bigint not null,
      primary key (agent, node))`);
    this.addSql('create index former_homes_left on former_homes (left_at_ms)');
    this.addSql(`create function note_former_home() returns trigger language plpgsql as $$
      begin
        insert into former_homes (agent, node, org, left_at_ms)
          values (old.id, old.node, old.org, (extract(epoch from clock_timestamp()) * 1000)::bigint)
          on conflict (agent, node) do update set left_at_ms = excluded.left_at_ms;
        return null;
      end $$`);
    this.addSql(`create trigger agents_left after delete on agents
      for each row execute function note_former_home()`);
    this.addSql(`create trigger agents_moved after update of node on agents
      for each row when (old.node is distinct from new.node) execute function note_former_home()`);
    this.addSql(`insert into former_homes (agent, node, org, left_at_ms)
      select agent, from_node, org, max(changed_at_ms) from moves where from_node <> '' group by 1, 2, 3
      on conflict do nothing`);
  }
}

export const migrations: readonly MigrationEntry[] = [
  { name: '001-create-tables', class: CreateTables },
  { name: '002-follow-orgs', class: FollowOrgs },
  { name: '003-follow-machines', class: FollowMachines },
  { name: '004-follow-subscribers', class: FollowSubscribers },
  { name: '005-former-homes', class: FormerHomes },
];
