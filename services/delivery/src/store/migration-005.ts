/** Migration 005: history in partitions by the time in message ids, words to search by, and what expiry and policy need. */

import { Migration } from '@fleetwire/store';

/** The ten characters that a ULID of this moment begins with; text in the order of bytes is then in the order of time. */
const ID_TIME = `
  create function message_id_time(ms bigint) returns text language sql immutable strict as $$
    select string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz', ((ms >> (45 - 5 * i)) & 31)::int + 1, 1), '' order by i)
    from generate_series(0, 9) as i $$`;

/** Keys are compared by their bytes: quicker than by the rules of a language, and bounds mean the same everywhere. */
const MESSAGES = `
  create table messages (
    org text collate "C" not null,
    id text collate "C" not null,
    accepted_at_us bigint not null,
    ingress_at_us bigint not null,
    from_agent text collate "C" not null,
    to_address text not null,
    correlation_id text collate "C" not null,
    envelope bytea not null,
    deadline_us bigint not null,
    left_out_bytes bigint not null,
    primary key (org, id)
  ) partition by range (id)`;

const SETTLEMENTS = `
  create table settlements (
    org text collate "C" not null,
    message_id text collate "C" not null,
    recipient text collate "C" not null,
    stage smallint not null,
    final boolean not null,
    delivered_ends boolean not null,
    reason text not null,
    at_us bigint not null,
    publishers text not null,
    stored_at_us bigint not null,
    receipt bytea not null,
    primary key (org, message_id, recipient)
  ) partition by range (message_id)`;

const MESSAGE_WORDS = `
  create table message_words (
    org text collate "C" not null,
    id text collate "C" not null,
    words tsvector not null,
    primary key (org, id)
  ) partition by range (id)`;

/** What has been written and is not searchable yet: some hundred messages a row, as lines of an org and its ids. */
const WORDS_QUEUE = `
  create table words_queue (
    seq bigserial primary key,
    from_us bigint not null,
    until_us bigint not null,
    messages integer not null,
    ids text not null
  )`;

const INDEXES = [
  `create index messages_by_sender on messages (org, from_agent, id)`,
  `create index messages_by_correlation on messages (org, correlation_id, id) where correlation_id <> id`,
  `create index messages_by_deadline on messages (deadline_us)`,
  `create index settlements_by_recipient on settlements (org, recipient, message_id)`,
  `create index settlements_by_fault on settlements (org, stage, message_id) where stage > 5`,
  `create index message_words_by_word on message_words using gin (words)`,
];

/** What was there before keeps its rows; its age is looked up in it, since it is deleted row by row. */
const RENAMED = [
  `alter table messages rename to messages_before`,
  `alter index messages_pkey rename to messages_before_pkey`,
  `alter index messages_by_age rename to messages_before_by_age`,
  `drop index messages_by_time, messages_by_sender, messages_by_correlation`,
  `alter table messages_before
     alter column org type text collate "C", alter column id type text collate "C",
     alter column from_agent type text collate "C", alter column correlation_id type text collate "C",
     add column deadline_us bigint not null default 0, add column left_out_bytes bigint not null default -1`,
  `alter table settlements rename to settlements_before`,
  `alter index settlements_pkey rename to settlements_before_pkey`,
  `alter index settlements_by_age rename to settlements_before_by_age`,
  `drop index settlements_by_recipient`,
  `alter table settlements_before
     alter column org type text collate "C", alter column message_id type text collate "C",
     alter column recipient type text collate "C"`,
];

/** Ids that no other partition has: of clocks that are far off, or of nobody's making. */
const DEFAULTS = [
  `create table messages_default partition of messages default`,
  `create index messages_default_by_age on messages_default
     using brin (ingress_at_us) with (autosummarize = on)`,
  `create table settlements_default partition of settlements default with (fillfactor = 90)`,
  `create index settlements_default_by_age on settlements_default
     using brin (stored_at_us) with (autosummarize = on)`,
  `create table message_words_default partition of message_words default`,
];

/**
 * The tables of before become the partition of all ids up to the day after the newest of their rows; what their clocks
 * have put beyond that moves to the default one. Their words are found by and by, as those of new messages are.
 */
const ATTACH = `
  do $$
  declare
    newest bigint := greatest((select max(ingress_at_us) from messages_before),
      (select max(stored_at_us) from settlements_before));
    bound text;
  begin
    if newest is null then
      drop table messages_before, settlements_before;
      return;
    end if;
    bound := message_id_time((newest / 86400000000 + 1) * 86400000);
    -- What may have been under way has to end, should nobody say how.
    update messages_before set deadline_us = ingress_at_us + 3600000000 where ingress_at_us > newest - 7200000000;
    with beyond as (delete from messages_before where id >= bound returning *)
      insert into messages select * from beyond;
    with beyond as (delete from settlements_before where message_id >= bound returning *)
      insert into settlements select * from beyond;
    execute format('alter table messages attach partition messages_before for values from (minvalue) to (%L)', bound);
    execute format('alter table settlements attach partition settlements_before for values from (minvalue) to (%L)', bound);
    execute format('create table message_words_before partition of message_words for values from (minvalue) to (%L)', bound);
    insert into words_queue (from_us, until_us, messages, ids)
      select min(at), max(at), count(*), string_agg(org || ' ' || id, E'\\n')
      from (select ingress_at_us as at, org, id, (row_number() over (order by ingress_at_us, id) - 1) / 500 as part,
          sum(octet_length(envelope)) over (order by ingress_at_us, id) / 1048576 as mib
        from messages) numbered
      group by part, mib order by part, mib;
  end $$`;

export class Partitions extends Migration {
  override up(): void {
    // Only who inserts knows how much of a message is kept, and a COPY into partitions that a trigger watches is slow.
    this.addSql(`drop trigger messages_counted on messages`);
    this.addSql(`drop function count_usage()`);
    for (const sql of [ID_TIME, ...RENAMED, MESSAGES, SETTLEMENTS, MESSAGE_WORDS, WORDS_QUEUE])
      this.addSql(sql);
    for (const sql of [...INDEXES, ...DEFAULTS, ATTACH]) this.addSql(sql);
  }
}
