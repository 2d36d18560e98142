/** Messages whose time is over and that have no end for everybody yet, each met once, in the order of their deadlines. */

import { Envelope } from '@fleetwire/gen/message';
import { slices } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { isAwaited } from '../domain/overdue.ts';

/** Behind it nothing was looked at. */
export interface OverduePlace {
  readonly deadlineUs: number;
  readonly id: string;
  readonly org: string;
}

export interface OverduePage {
  /** Of the last message that was looked at; undefined: there was none. */
  readonly last: OverduePlace | undefined;
  readonly looked: number;
  /** Those without an end for all. */
  readonly open: readonly OpenMessage[];
}

export interface OpenMessage {
  readonly org: string;
  readonly id: string;
  /** Without its body; of an org that keeps nothing it says who sent it and when. */
  readonly envelope: Envelope;
  readonly awaited: boolean;
}

interface Kept {
  readonly id: string;
  readonly envelope: Uint8Array;
}

const READ = 'select id, envelope from messages where org = $1 and id = any ($2)';
const READ_BARE = `
  select id, from_node as "fromNode", local as "localServed", awaited, accepted_at_us as "acceptedAtUs", ttl_ms as "ttlMs"
  from origins where org = $1 and id = any ($2)`;
/** Bodies of a mebibyte that are in memory together. */
const BODIES_AT_ONCE = 16;
const NO_BODY = new Uint8Array(0);

const LATE = `where deadline_us <= $4 and (deadline_us, id, org) > ($1::bigint, $2 collate "C", $3 collate "C")
  order by deadline_us, id, org limit $5`;

const PAGE = `
  with due as materialized (
    (select org, id, deadline_us, false as bare from messages ${LATE})
    union all
    (select org, id, deadline_us, true as bare from origins ${LATE})
    order by deadline_us, id, org limit $5)
  select d.org, d.id, d.deadline_us as "deadlineUs", d.bare, s.ends and not s.open as settled
  from due d cross join lateral (
    select coalesce(bool_or(s.final), false) as ends, coalesce(bool_or(not s.final), false) as open
    from settlements s where s.org = d.org and s.message_id = d.id) s
  order by d.deadline_us, d.id, d.org`;

interface Due extends OverduePlace {
  /** There is no more of it than its origin. */
  readonly bare: boolean;
  readonly settled: boolean;
}

/** At most `limit` behind `after` whose deadline is not later than `untilUs`. */
export async function overduePage(
  store: Pick<Store, 'query'>,
  after: OverduePlace,
  untilUs: number,
  limit: number,
): Promise<OverduePage> {
  const due = await store.query<Due>(PAGE, [after.deadlineUs, after.id, after.org, untilUs, limit]);
  const open: OpenMessage[] = [];
  const unsettled = due.filter(({ settled }) => !settled);
  for (const [org, some] of Map.groupBy(unsettled, (one) => one.org)) {
    const idsOf = (bare: boolean) => some.flatMap((one) => (one.bare === bare ? one.id : []));
    for (const ids of slices(idsOf(false), BODIES_AT_ONCE))
      for (const { id, envelope } of await store.query<Kept>(READ, [org, ids])) {
        const read = { ...Envelope.decode(envelope), body: NO_BODY };
        open.push({ org, id, envelope: read, awaited: isAwaited(read) });
      }
    for (const { awaited, ...bare } of await readBare(store, org, idsOf(true)))
      open.push({ org, id: bare.id, envelope: Envelope.fromPartial({ org, ...bare }), awaited });
  }
  return { last: due.at(-1), looked: due.length, open };
}

type Bare = Pick<Envelope, 'id' | 'fromNode' | 'localServed' | 'acceptedAtUs' | 'ttlMs'> & {
  readonly awaited: boolean;
};

async function readBare(store: Pick<Store, 'query'>, org: string, ids: readonly string[]): Promise<Bare[]> {
  return ids.length === 0 ? [] : store.query<Bare>(READ_BARE, [org, ids]);
}

/** How far the messages were looked at; undefined: they never were. */
export async function readOverduePlace(store: Pick<Store, 'query'>): Promise<OverduePlace | undefined> {
  const [row] = await store.query<OverduePlace>(
    `select deadline_us as "deadlineUs", id, org from sweep_places where name = 'overdue'`,
  );
  return row;
}

export async function writeOverduePlace(
  store: Pick<Store, 'query'>,
  { deadlineUs, id, org }: OverduePlace,
): Promise<void> {
  await store.query(
    `insert into sweep_places (name, deadline_us, id, org) values ('overdue', $1, $2, $3)
     on conflict (name) do update set deadline_us = excluded.deadline_us, id = excluded.id, org = excluded.org`,
    [deadlineUs, id, org],
  );
}
