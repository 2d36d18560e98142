/** Brings what this node's agents have sent to the broker, in the order in which it was accepted. */

import type { Broker, DedupeIds } from '@fleetwire/broker';
import { ingressSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { IngressPack } from '@fleetwire/gen/message';
import type { FleetwireError } from '@fleetwire/kernel';
import type { Outbox, OutboxPack } from '../domain/outbox.ts';
import type { OutboxTable } from '../store/outbox-table.ts';
import type { Turns } from '../store/turns.ts';
import { OneInFlight, type Pack } from './one-in-flight.ts';

export interface OutboxPublisherParts {
  readonly org: string;
  readonly node: string;
  readonly outbox: Outbox;
  readonly table: OutboxTable;
  readonly turns: Turns;
  readonly ids: DedupeIds;
  broker(): Broker | undefined;
  /** Undefined before the first HELLO. */
  partition(): number | undefined;
  failed(error: FleetwireError): void;
}

type Carried = Pack & { readonly pack: OutboxPack };

/** Created after the outbox was filled from the disk. */
export function outboxPublisher(parts: OutboxPublisherParts): OneInFlight<Carried> {
  return new OneInFlight<Carried>({
    broker: parts.broker,
    failed: parts.failed,
    next: () => nextPack(parts),
    stored: ({ pack }) => {
      const seq = parts.outbox.settle(pack);
      parts.turns.addLater(() => parts.table.deleteUpTo(seq));
    },
  });
}

function nextPack(parts: OutboxPublisherParts): Carried | undefined {
  const partition = parts.partition();
  const pack = partition === undefined ? undefined : parts.outbox.nextPack();
  if (partition === undefined || pack === undefined) return undefined;
  const { org, node, ids } = parts;
  const payload = encode(IngressPack, { envelopes: pack.rows.map((row) => row.envelope) });
  return {
    subject: ingressSubject.build({ partition, org, node }),
    payload,
    msgId: ids(`pack ${pack.id}`),
    pack,
  };
}
