/** Who was a member and is none any more, so that other services shut out what they had brought in. */

import type { Departure } from '@fleetwire/gen/access';
import type { StoreTransaction } from '@fleetwire/store';

type Query = StoreTransaction['query'];

/** Of one org: all of them travel with its state. Whoever follows it has acted on an older one long ago. */
const DEPARTURES_MAX = 1000;

/** In the transaction that ends the membership. Of somebody who left before, the last time counts. */
export async function addDeparture(query: Query, org: string, user: string, nowMs: number): Promise<void> {
  await query(
    `insert into departures (org, user_id, at_ms) values ($1, $2, $3)
     on conflict (org, user_id) do update set at_ms = greatest(departures.at_ms, excluded.at_ms)`,
    [org, user, nowMs],
  );
  await query(
    `delete from departures where org = $1 and user_id in
       (select user_id from departures where org = $1 order by at_ms desc, user_id offset $2)`,
    [org, DEPARTURES_MAX],
  );
}

/** The newest first. */
export async function departuresOf(query: Query, org: string): Promise<Departure[]> {
  const rows = await query<{ user_id: string; at_ms: number }>(
    'select user_id, at_ms from departures where org = $1 order by at_ms desc, user_id limit $2',
    [org, DEPARTURES_MAX],
  );
  return rows.map(({ user_id: user, at_ms: atMs }) => ({ user, atMs }));
}
