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

export const migrations: readonly MigrationEntry[] = [
  { name: '001-create-tables', class: CreateTables },
  { name: '002-follow-orgs', class: FollowOrgs },
];
