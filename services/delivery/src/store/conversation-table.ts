/** The messages of one conversation, in the order of their ids, which is that of their times. */

import type { Store } from '@fleetwire/store';
import { columnText } from '../domain/column-text.ts';
import { READ, type StoredMessage } from './message-table.ts';

export interface ConversationPage {
  /** Only what has a greater id. */
  readonly after: string;
  readonly limit: number;
  /** Of envelopes, unless the first alone has more. */
  readonly bytesMax: number;
}

/** The message that began it is found by the primary key, the others by the partial index. */
export async function listConversation(
  store: Store,
  org: string,
  correlationId: string,
  { after, limit, bytesMax }: ConversationPage,
): Promise<StoredMessage[]> {
  const sql = `
    select ${READ} from (
      select *, sum(octet_length(envelope)) over (order by id) - octet_length(envelope) as before from (
        select * from (
          (select * from messages where org = $1 and correlation_id = $2 and correlation_id <> id and id > $3
            order by id limit $4)
          union all
          select * from messages where org = $1 and id = $2 and correlation_id = $2 and id > $3) thread
        order by id limit $4) page) summed
    where before < $5 order by id`;
  return await store.ask<StoredMessage>(org, sql, [org, columnText(correlationId), after, limit, bytesMax]);
}
