/** The tables of schema `delivery`, step by step; a step that has run anywhere is never edited. */

import type { MigrationEntry } from '@fleetwire/store';
import { Migration } from '@fleetwire/store';
import { Partitions } from './migration-005.ts';
import { LetterDecisions } from './migration-006.ts';
import { Origins } from './migration-007.ts';
import { DoubtShares } from './migration-008.ts';
import { LateDefaults } from './migration-009.ts';

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

/**
 * Usage is counted by the database: only there is it known, also of a COPY, which rows were new. A statement counts all
 * its rows at once, in the order of the keys, so that two replicas wait for each other in one direction.
 */
class UsageDays extends Migration {
  override up(): void {
    this.addSql(`
      create table usage_days (
        org text not null,
        day date not null,
        messages bigint not null,
        bytes bigint not null,
        told bigint not null,
        primary key (org, day)
      ) with (fillfactor = 50)`);
    this.addSql(`
      create function count_usage() returns trigger language plpgsql as $$
      begin
        insert into usage_days as u (org, day, messages, bytes, told)
        select org, (to_timestamp(ingress_at_us / 1000000) at time zone 'UTC')::date, count(*),
          sum(octet_length(envelope)), 0
        from added group by 1, 2 order by 1, 2
        on conflict (org, day)
          do update set messages = u.messages + excluded.messages, bytes = u.bytes + excluded.bytes;
        return null;
      end $$`);
    this.addSql(`
      create trigger messages_counted after insert on messages
        referencing new table as added for each statement execute function count_usage()`);
  }
}

class Secrets extends Migration {
  override up(): void {
    this.addSql('create table secrets (name text not null primary key, value bytea not null)');
  }
}

class Doubts extends Migration {
  override up(): void {
    this.addSql(`
      create table doubts (
        stored_at_us bigint not null,
        sequence bigint not null,
        part integer not null,
        stream text not null,
        org text not null,
        message_id text not null,
        recipient text not null,
        publisher text not null,
        to_node text not null,
        receipt bytea not null,
        look_at timestamptz not null default now(),
        looks integer not null default 0,
        ingress_sequence bigint,
        primary key (stored_at_us, sequence, part, stream)
      )`);
    this.addSql('create index doubts_due on doubts (look_at)');
  }
}

class OverdueMessages extends Migration {
  override up(): void {
    this.addSql(`
      create table sweep_places (
        name text not null primary key,
        deadline_us bigint not null,
        id text not null,
        org text not null
      )`);
  }
}

export const migrations: readonly MigrationEntry[] = [
  { name: '0001-initial', class: InitialTables },
  { name: '0002-partial-correlation', class: PartialCorrelation },
  { name: '0003-usage-days', class: UsageDays },
  { name: '0004-secrets', class: Secrets },
  { name: '0005-partitions', class: Partitions },
  { name: '0006-letter-decisions', class: LetterDecisions },
  { name: '0007-doubts', class: Doubts },
  { name: '0008-overdue', class: OverdueMessages },
  { name: '0009-origins', class: Origins },
  { name: '0010-doubt-shares', class: DoubtShares },
  { name: '0011-late-defaults', class: LateDefaults },
];
