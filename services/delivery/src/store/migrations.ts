/** The tables of schema `delivery`, step by step; a step that has run anywhere is never edited. */

import type { MigrationEntry } from '@fleetwire/store';
import { Migration } from '@fleetwire/store';

class InitialTables extends Migration {
  override up(): void {
    this.addSql(`
      create table messages (
        org text not null,
        id text not null,
        accepted_at_us bigint not null,
        ingress_at_us bigint not null,
        from_agent text not null,
        to_address text not null,
        correlation_id text not null,
        envelope bytea not null,
        primary key (org, id)
      )`);
    this.addSql(`create index messages_by_time on messages (org, accepted_at_us, id)`);
    this.addSql(`create index messages_by_sender on messages (org, from_agent, accepted_at_us)`);
    this.addSql(`create index messages_by_correlation on messages (org, correlation_id)`);
    this.addSql(
      `create index messages_by_age on messages using brin (ingress_at_us) with (autosummarize = on)`,
    );
    this.addSql(`
      create table settlements (
        org text not null,
        message_id text not null,
        recipient text not null,
        stage smallint not null,
        final boolean not null,
        delivered_ends boolean not null,
        reason text not null,
        at_us bigint not null,
        publishers text not null,
        stored_at_us bigint not null,
        receipt bytea not null,
        primary key (org, message_id, recipient)
      ) with (fillfactor = 90)`);
    this.addSql(`create index settlements_by_recipient on settlements (org, recipient, message_id)`);
    this.addSql(
      `create index settlements_by_age on settlements using brin (stored_at_us) with (autosummarize = on)`,
    );
    this.addSql(`
      create table dead_letters (
        stored_at_us bigint not null,
        sequence bigint not null,
        org text not null,
        agent text not null,
        message_id text not null,
        reason text not null,
        letter bytea not null,
        primary key (stored_at_us, sequence)
      )`);
    this.addSql(`create index dead_letters_by_message on dead_letters (org, message_id)`);
  }
}

/** Most messages begin a conversation of their own, and the primary key finds these: the others alone need an index. */
class PartialCorrelation extends Migration {
  override up(): void {
    this.addSql(`drop index messages_by_correlation`);
    this.addSql(`
      create index messages_by_correlation on messages (org, correlation_id) where correlation_id <> id`);
  }
}

export const migrations: readonly MigrationEntry[] = [
  { name: '0001-initial', class: InitialTables },
  { name: '0002-partial-correlation', class: PartialCorrelation },
];
