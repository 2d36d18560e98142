/** Dead letters as they were published, once each by their place in the stream. */

import type { StoreTransaction } from '@fleetwire/store';
import { columnText } from '../domain/column-text.ts';
import { numberArray, packBytes, textArray } from './array-literal.ts';

export interface DeadLetterRow {
  readonly storedAtUs: number;
  readonly sequence: number;
  readonly org: string;
  readonly agent: string;
  /** Empty when the envelope could not be decoded. */
  readonly messageId: string;
  readonly reason: string;
  /** The encoded DeadLetter. */
  readonly letter: Uint8Array;
}

const INSERT = `
  insert into dead_letters (stored_at_us, sequence, org, agent, message_id, reason, letter)
  select r.stored, r.sequence, r.org, r.agent, r.message_id, r.reason,
    substring($7::bytea from r.start for r.size)
  from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $8::int[], $9::int[])
    as r (stored, sequence, org, agent, message_id, reason, start, size)
  on conflict do nothing`;

export async function saveDeadLetters(tx: StoreTransaction, rows: readonly DeadLetterRow[]): Promise<void> {
  if (rows.length === 0) return;
  const letters = packBytes(rows, (row) => row.letter);
  await tx.query(INSERT, [
    numberArray(rows, (row) => row.storedAtUs),
    numberArray(rows, (row) => row.sequence),
    textArray(rows, (row) => row.org),
    textArray(rows, (row) => row.agent),
    textArray(rows, (row) => columnText(row.messageId)),
    textArray(rows, (row) => columnText(row.reason)),
    letters.bytes,
    letters.starts,
    letters.sizes,
  ]);
}
