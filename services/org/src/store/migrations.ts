/** How the schema `org` came to be, oldest first. Never edit one that was released. */

import { Migration, type MigrationEntry } from '@fleetwire/store';
import { Tenants } from './migration-002.ts';

class CreateTables extends Migration {
  override up(): void {
    this.addSql(`create table orgs (
      id text not null primary key,
      slug text not null constraint orgs_slug_unique unique,
      name text not null,
      owner_email text not null,
      created_at_ms bigint not null)`);
    this.addSql(`create table users (
      id text not null primary key,
      org text not null references orgs (id),
      email text not null,
      role text not null,
      created_at_ms bigint not null,
      constraint users_org_email unique (org, email))`);
    this.addSql(`create table api_keys (
      id text not null primary key,
      org text not null references orgs (id),
      user_id text not null references users (id),
      name text not null,
      prefix text not null,
      hash text not null constraint api_keys_hash_unique unique,
      scopes text[] not null,
      created_at_ms bigint not null,
      expires_at_ms bigint,
      revoked_at_ms bigint,
      last_used_at_ms bigint)`);
    this.addSql('create index api_keys_org on api_keys (org)');
    this.addSql(`create table join_tokens (
      hash text not null primary key,
      id text not null,
      org text not null references orgs (id),
      created_by text not null,
      created_at_ms bigint not null,
      expires_at_ms bigint not null,
      used_at_ms bigint,
      used_by text)`);
    this.addSql('create index join_tokens_org on join_tokens (org)');
  }
}

class FollowMachines extends Migration {
  override up(): void {
    this.addSql(`create table departures (
      org text not null,
      user_id text not null,
      at_ms bigint not null,
      primary key (org, user_id))`);
    this.addSql('alter table join_tokens add column revoked_at_ms bigint');
  }
}

/** What there is keeps everything, as before. */
class History extends Migration {
  override up(): void {
    this.addSql(`alter table orgs add column history text not null default 'full'`);
    this.addSql('alter table orgs alter column history drop default');
  }
}

/** Nothing is told until somebody wants it: it is another message for each one. */
class MessageEvents extends Migration {
  override up(): void {
    this.addSql(`alter table orgs add column message_events text not null default 'off'`);
    this.addSql('alter table orgs alter column message_events drop default');
  }
}

export const migrations: readonly MigrationEntry[] = [
  { name: '001-create-tables', class: CreateTables },
  { name: '002-tenants', class: Tenants },
  { name: '003-follow-machines', class: FollowMachines },
  { name: '004-history', class: History },
  { name: '005-message-events', class: MessageEvents },
];
