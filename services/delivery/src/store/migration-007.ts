/** Migration 009: of orgs that keep no history, who has sent each message and when, cut as `messages` is. */

import { Migration } from '@fleetwire/store';

const ORIGINS = `
  create table origins (
    org text collate "C" not null,
    id text collate "C" not null,
    from_node text not null,
    local boolean not null,
    awaited boolean not null,
    accepted_at_us bigint not null,
    ingress_at_us bigint not null,
    ttl_ms bigint not null,
    deadline_us bigint not null,
    primary key (org, id)
  ) partition by range (id)`;

/** The same bounds, or ranges to be made later would meet some that are there. */
const PARTITIONS = `
  do $$
  declare
    part record;
  begin
    for part in select c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = 'messages'::regclass
    loop
      execute format('create table %I partition of origins %s', replace(part.name, 'messages', 'origins'), part.bound);
    end loop;
    execute 'create index origins_default_by_age on origins_default using brin (ingress_at_us) with (autosummarize = on)';
    if to_regclass('origins_before') is not null then
      execute 'create index origins_before_by_age on origins_before using brin (ingress_at_us) with (autosummarize = on)';
    end if;
  end $$`;

export class Origins extends Migration {
  override up(): void {
    this.addSql(ORIGINS);
    this.addSql(`create index origins_by_deadline on origins (deadline_us)`);
    this.addSql(PARTITIONS);
  }
}
