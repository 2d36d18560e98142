/** The step that lets people decide what becomes of dead letters. */

import { Migration } from '@fleetwire/store';

/** Who has written a letter of before is not known: the default says so, and such a letter is replayed by history's word only. */
export class LetterDecisions extends Migration {
  override up(): void {
    this.addSql(`
      alter table dead_letters
        add column detail text not null default '',
        add column attempt bigint not null default '0',
        add column author text not null default '_unknown',
        add column from_agent text not null default '',
        add column from_name text not null default '',
        add column to_address text not null default '',
        add column body_kept boolean not null default true,
        add column state smallint not null default 1,
        add column decided_by text not null default '',
        add column decided_at_us bigint not null default '0',
        add column request_id text not null default ''`);
    this.addSql(`
      update dead_letters d set from_agent = m.from_agent, to_address = m.to_address
      from messages m where m.org = d.org and m.id = d.message_id and d.message_id <> ''`);
    this.addSql(`create index dead_letters_by_time on dead_letters (org, stored_at_us, sequence)`);
    this.addSql(`
      create table replays (
        org text not null,
        message_id text not null,
        recipient text not null,
        attempt bigint not null,
        stored_at_us bigint not null,
        sequence bigint not null,
        request_id text not null,
        decided_by text not null,
        decided_at_us bigint not null,
        published boolean not null,
        primary key (org, message_id, recipient, attempt)
      )`);
    this.addSql(`create index replays_unpublished on replays (decided_at_us) where not published`);
    this.addSql(`
      create table letter_requests (
        org text not null,
        request_id text not null,
        action text not null,
        decided_by text not null,
        selection text not null,
        begun_at_us bigint not null,
        done bigint not null default '0',
        told bigint not null default '0',
        done_at_us bigint not null default '0',
        primary key (org, request_id)
      )`);
    this.addSql(`create index letter_requests_untold on letter_requests (done_at_us) where told < done`);
  }
}
