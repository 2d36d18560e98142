/** Messages whose time is over and that have no end for everybody yet, each met once, in the order of their deadlines. */

import { Envelope, Stage } from '@fleetwire/gen/message';
import type { Store } from '@fleetwire/store';
import { isAwaited, type OpenRecipient } from '../domain/overdue.ts';
import type { Settlement } from '../domain/settlement.ts';
import { readEnvelopes } from './envelopes.ts';
import { type KeptSettlement, restore } from './settlement-table.ts';

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
  /** As in `LateMessage`. */
  readonly heard: number;
}

const READ_BARE = `
  select id, from_node as "fromNode", local as "localServed", awaited, accepted_at_us as "acceptedAtUs", ttl_ms as "ttlMs"
  from origins where org = $1 and id = any ($2)`;

const LATE = `where deadline_us <= $4 and (deadline_us, id, org) > ($1::bigint, $2 collate "C", $3 collate "C")
  order by deadline_us, id, org limit $5`;

const PAGE = `
  with due as materialized (
    (select org, id, deadline_us, false as bare from messages ${LATE})
    union all
    (select org, id, deadline_us, true as bare from origins ${LATE})
    order by deadline_us, id, org limit $5)
  select d.org, d.id, d.deadline_us as "deadlineUs", d.bare, s.counted, s.heard,
    s.ends and not s.open and not s.counted as settled
  from due d cross join lateral (
    select count(*) filter (where recipient <> '')::int as heard, coalesce(bool_or(final), false) as ends,
      coalesce(bool_or(recipient = '' and stage = ${Stage.ROUTED}), false) as counted,
      coalesce(bool_or(not final and (recipient <> '' or stage <> ${Stage.ROUTED})), false) as open
    from settlements where org = d.org and message_id = d.id) s
  order by d.deadline_us, d.id, d.org`;

/** The node that has served its own agents is left out of the count: so are they. */
const HEARD_ELSEWHERE = `
  select k.id, (select count(*)::int from settlements s where s.org = $1 and s.message_id = k.id and s.recipient <> ''
    and not k.node = any (string_to_array(s.publishers, ','))) as heard
  from unnest($2::text[], $3::text[]) as k (id, node)`;

interface Due extends OverduePlace {
  /** There is no more of it than its origin. */
  readonly bare: boolean;
  /** A router has said how many recipients it has. */
  readonly counted: boolean;
  readonly heard: number;
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
  for (const [org, some] of Map.groupBy(unsettled, (one) => one.org))
    open.push(...(await heardOf(store, org, some, await readOpen(store, org, some))));
  return { last: due.at(-1), looked: due.length, open };
}

type Read = Omit<OpenMessage, 'heard'>;

async function readOpen(store: Pick<Store, 'query'>, org: string, some: readonly Due[]): Promise<Read[]> {
  const idsOf = (bare: boolean) => some.flatMap((one) => (one.bare === bare ? one.id : []));
  const read: Read[] = [];
  for (const { id, envelope } of await readEnvelopes(store, org, idsOf(false)))
    read.push({ org, id, envelope, awaited: isAwaited(envelope) });
  for (const { awaited, ...bare } of await readBare(store, org, idsOf(true)))
    read.push({ org, id: bare.id, envelope: Envelope.fromPartial({ org, ...bare }), awaited });
  return read;
}

async function heardOf(
  store: Pick<Store, 'query'>,
  org: string,
  due: readonly Due[],
  read: readonly Read[],
): Promise<OpenMessage[]> {
  const counted = new Set(due.flatMap((one) => (one.counted ? one.id : [])));
  const served = read.filter(({ id, envelope }) => envelope.localServed && counted.has(id));
  const heard = new Map(due.map((one) => [one.id, one.heard]));
  if (served.length > 0) {
    const params = [org, served.map(({ id }) => id), served.map(({ envelope }) => envelope.fromNode)];
    for (const one of await store.query<{ id: string; heard: number }>(HEARD_ELSEWHERE, params))
      heard.set(one.id, one.heard);
  }
  return read.map((one) => ({ ...one, heard: heard.get(one.id)! }));
}

type Bare = Pick<Envelope, 'id' | 'fromNode' | 'localServed' | 'acceptedAtUs' | 'ttlMs'> & {
  readonly awaited: boolean;
};

async function readBare(store: Pick<Store, 'query'>, org: string, ids: readonly string[]): Promise<Bare[]> {
  return ids.length === 0 ? [] : store.query<Bare>(READ_BARE, [org, ids]);
}

/** Of each of the messages what was said without a recipient, by id. */
export async function settlementsOfAll(
  store: Pick<Store, 'query'>,
  org: string,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Settlement>> {
  const rows = await store.query<KeptSettlement & { id: string }>(
    `select message_id as id, delivered_ends as "deliveredEnds", publishers, receipt from settlements
     where org = $1 and message_id = any ($2) and recipient = ''`,
    [org, ids],
  );
  return new Map(rows.map((row) => [row.id, restore(row)]));
}

/** Of each of the messages, by id, the next `limitEach` recipients behind `after` that have no end. */
export async function openRecipients(
  store: Pick<Store, 'query'>,
  org: string,
  ids: readonly string[],
  after: string,
  limitEach: number,
): Promise<ReadonlyMap<string, OpenRecipient[]>> {
  const rows = await store.query<KeptSettlement & { id: string; recipient: string }>(
    `select k.id, s.recipient, s.delivered_ends as "deliveredEnds", s.publishers, s.receipt
     from unnest($2::text[]) as k (id)
     cross join lateral (select * from settlements
       where org = $1 and message_id = k.id and recipient > $3 collate "C" and not final order by recipient limit $4) s`,
    [org, ids, after, limitEach],
  );
  return Map.groupBy(
    rows.map((row) => ({ id: row.id, recipient: row.recipient, settlement: restore(row) })),
    ({ id }) => id,
  );
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
