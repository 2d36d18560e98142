/** Messages whose time is over and that have no end for everybody yet, each met once, in the order of their deadlines. */

import { Envelope } from '@fleetwire/gen/message';
import { slices } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { withoutBody } from '../domain/history-mode.ts';

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
  /** Those without an end for all, with the encoded Envelope. */
  readonly open: readonly OpenMessage[];
}

interface OpenMessage {
  readonly org: string;
  readonly id: string;
  /** Encoded; without its body where that is long. */
  readonly envelope: Uint8Array;
}

const READ = 'select org, id, envelope from messages where org = $1 and id = any ($2)';
/** Bodies of a mebibyte that are in memory together. */
const BODIES_AT_ONCE = 16;
const LONG_BYTES = 4096;

function withoutLong(envelope: Uint8Array): Uint8Array {
  return envelope.length > LONG_BYTES ? withoutBody(Envelope.decode(envelope)) : envelope;
}

const PAGE = `
  with due as materialized (
    select org, id, deadline_us from messages
    where deadline_us <= $4 and (deadline_us, id, org) > ($1::bigint, $2 collate "C", $3 collate "C")
    order by deadline_us, id, org limit $5)
  select d.org, d.id, d.deadline_us as "deadlineUs", s.ends and not s.open as settled
  from due d cross join lateral (
    select coalesce(bool_or(s.final), false) as ends, coalesce(bool_or(not s.final), false) as open
    from settlements s where s.org = d.org and s.message_id = d.id) s
  order by d.deadline_us, d.id, d.org`;

interface Due extends OverduePlace {
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
    for (const slice of slices(some, BODIES_AT_ONCE)) {
      const ids = slice.map(({ id }) => id);
      const read = await store.query<OpenMessage>(READ, [org, ids]);
      open.push(...read.map((one) => ({ ...one, envelope: withoutLong(one.envelope) })));
    }
  return { last: due.at(-1), looked: due.length, open };
}

/** It is met again once that time is over too. */
export async function putOffOverdue(
  store: Pick<Store, 'query'>,
  org: string,
  id: string,
  deadlineUs: number,
): Promise<void> {
  await store.query('update messages set deadline_us = $3 where org = $1 and id = $2', [org, id, deadlineUs]);
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
