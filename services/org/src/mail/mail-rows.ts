/** Letters in the table: claimed for one replica at a time, settled only by who still holds the claim. */

import type { Store, StoreTransaction } from '@fleetwire/store';
import type { MailRow } from '../store/entities.ts';

/** A letter that this replica holds until its lease ends. `attempts` counts this try. */
export type DueMail = Pick<
  MailRow,
  'id' | 'org' | 'recipient' | 'subject' | 'body' | 'attempts' | 'untilMs' | 'error'
>;

/** One statement; rows that another replica is claiming are passed over. */
export function claimDue(store: Store, limit: number, nowMs: number, leaseMs: number): Promise<DueMail[]> {
  return store.query<DueMail>(
    `with due as materialized (
       select id from mails where state = 'waiting' and next_at_ms <= $1
       order by next_at_ms limit $2 for update skip locked)
     update mails m set next_at_ms = $3, attempts = attempts + 1 from due where m.id = due.id
     returning m.id, m.org, m.recipient, m.subject, m.body, m.attempts, m.until_ms as "untilMs", m.error`,
    [nowMs, limit, nowMs + leaseMs],
  );
}

/** Not when somebody else has claimed or ended it in the meantime. */
export async function postpone(store: Store, mail: DueMail, nextAtMs: number, error: string): Promise<void> {
  await store.query(
    `update mails set next_at_ms = $3, error = $4 where id = $1 and attempts = $2 and state = 'waiting'`,
    [mail.id, mail.attempts, nextAtMs, error],
  );
}

/**
 * Empties the text: it holds the invite's secret. False when there is nothing to end any more. The org's row is locked
 * first, as everywhere, for what else the transaction writes. What was sent is sent, also when the claim has ended since.
 */
export async function finish(
  { query }: StoreTransaction,
  mail: DueMail,
  state: 'sent' | 'failed',
  error: string,
): Promise<boolean> {
  await query('select id from orgs where id = $1 for update', [mail.org]);
  const rows = await query(
    `update mails set state = $3, error = $4, body = '' where id = $1 and state = 'waiting'
       and ($3 = 'sent' or attempts = $2) returning id`,
    [mail.id, mail.attempts, state, error],
  );
  return rows.length > 0;
}
