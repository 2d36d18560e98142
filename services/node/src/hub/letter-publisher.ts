/** Brings this node's dead letters to the broker, one after the other, in the order in which the messages ended. */

import type { Broker, DedupeIds } from '@fleetwire/broker';
import { nodeDeadSubject } from '@fleetwire/contract';
import type { FleetwireError } from '@fleetwire/kernel';
import type { LetterRow, LetterTable } from '../store/letter-table.ts';
import type { Turns } from '../store/turns.ts';
import { OneInFlight, type Pack } from './one-in-flight.ts';

export interface LetterPublisherParts {
  readonly org: string;
  readonly node: string;
  readonly table: LetterTable;
  readonly turns: Turns;
  readonly ids: DedupeIds;
  broker(): Broker | undefined;
  failed(error: FleetwireError): void;
}

type Carried = Pack & { readonly row: LetterRow };

export function letterPublisher(parts: LetterPublisherParts): OneInFlight<Carried> {
  const { org, node, table, turns, ids, broker, failed } = parts;
  let after = 0;
  return new OneInFlight<Carried>({
    broker,
    failed,
    next: () => {
      const row = table.next(after);
      if (row === undefined) return undefined;
      const subject = nodeDeadSubject.build({ org, agent: row.agent, node });
      return { subject, payload: row.letter, msgId: ids(`letter ${row.seq}`), row };
    },
    stored: ({ row }) => {
      after = row.seq;
      turns.addLater(() => table.delete(row));
    },
  });
}
