/** What each org used on each UTC day, as the database counts it, and how much of that has been published. */

import type { Store } from '@fleetwire/store';

/** Totals so far; they only grow. */
export interface UsageDay {
  readonly org: string;
  /** YYYY-MM-DD, by the moment at which the broker accepted the messages. */
  readonly day: string;
  readonly messages: number;
  /** Of encoded envelopes. */
  readonly bytes: number;
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
