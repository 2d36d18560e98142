/** What each org used on each UTC day, and how much of that has been published. */

import type { Statement, Store } from '@fleetwire/store';
import type { QueueRow } from './words-queue.ts';

/** Totals so far; they only grow. */
export interface UsageDay {
  readonly org: string;
  /** YYYY-MM-DD, by the moment at which the broker accepted the messages. */
  readonly day: string;
  readonly messages: number;
  /** Of encoded envelopes. */
  readonly bytes: number;
}

/** What some messages add to one day, counted from 1970. */
export interface DayUse {
  readonly org: string;
  readonly day: number;
  messages: number;
  bytes: number;
}

const DAY_US = 86_400_000_000;

/** In one order, so that two replicas wait for each other in one direction. */
export function usageOf(
  rows: readonly { readonly org: string; readonly ingressAtUs: number; readonly usedBytes: number }[],
): DayUse[] {
  const uses = new Map<string, DayUse>();
  for (const { org, ingressAtUs, usedBytes } of rows) {
    const day = Math.floor(ingressAtUs / DAY_US);
    const key = `${org} ${day}`;
    const use = uses.get(key);
    if (use === undefined) uses.set(key, { org, day, messages: 1, bytes: usedBytes });
    else {
      use.messages++;
      use.bytes += usedBytes;
    }
  }
  return [...uses.values()].sort((a, b) => (a.org === b.org ? a.day - b.day : a.org < b.org ? -1 : 1));
}

/** Days of which more was counted than published, the oldest first. */
export function untoldUsage(store: Store, limit: number): Promise<UsageDay[]> {
  return store.query<UsageDay>(
    `select org, day::text as day, messages, bytes from usage_days where messages > told
     order by usage_days.day, org limit $1`,
    [limit],
  );
}

/** These totals were published; what was counted since is still to be. */
export async function usageTold(store: Store, days: readonly UsageDay[]): Promise<void> {
  await store.query(
    `update usage_days u set told = greatest(u.told, t.messages)
     from unnest($1::text[], $2::date[], $3::bigint[]) as t (org, day, messages)
     where u.org = t.org and u.day = t.day`,
    [days.map(({ org }) => org), days.map(({ day }) => day), days.map(({ messages }) => messages)],
  );
}

/** Deletes at most `limit` days before the moment, all of which has been published. */
export async function deleteUsageBefore(store: Store, beforeUs: number, limit: number): Promise<void> {
  await store.query(
    `delete from usage_days where (org, day) in (
       select org, day from usage_days
       where day < (to_timestamp($1::bigint / 1000000) at time zone 'UTC')::date and told >= messages limit $2)`,
    [beforeUs, limit],
  );
}

const ACCOUNT = `
  with used as (
    insert into usage_days as u (org, day, messages, bytes, told)
    select r.org, date '1970-01-01' + r.day, r.messages, r.bytes, 0
    from unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) with ordinality
      as r (org, day, messages, bytes, place) order by r.place
    on conflict (org, day)
      do update set messages = u.messages + excluded.messages, bytes = u.bytes + excluded.bytes)
  insert into words_queue (from_us, until_us, messages, ids)
  select * from unnest($5::bigint[], $6::bigint[], $7::int[], $8::text[])`;

/** What new messages add to usage and to the queue of those to be searchable: one statement, one round trip. */
export function accountStatement(uses: readonly DayUse[], queue: readonly QueueRow[]): Statement {
  const params = [
    uses.map(({ org }) => org),
    uses.map(({ day }) => day),
    uses.map(({ messages }) => messages),
    uses.map(({ bytes }) => bytes),
    queue.map(({ fromUs }) => fromUs),
    queue.map(({ untilUs }) => untilUs),
    queue.map(({ messages }) => messages),
    queue.map(({ ids }) => ids),
  ];
  return { sql: ACCOUNT, params };
}
