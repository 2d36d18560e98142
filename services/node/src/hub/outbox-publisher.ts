/** Brings what this node's agents have sent to the broker: in order, and what is for busy recipients as they permit. */

import type { Broker, DedupeIds } from '@fleetwire/broker';
import { ingressSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { IngressPack } from '@fleetwire/gen/message';
import type { FleetwireError } from '@fleetwire/kernel';
import type { Outbox } from '../domain/outbox.ts';
import type { OutboxPack } from '../domain/outbox-pack.ts';
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
  /** Monotonic milliseconds. */
  nowMs(): number;
}

type Carried = Pack & { readonly pack: OutboxPack };

/** Created after the outbox was filled from the disk. */
export function outboxPublisher(parts: OutboxPublisherParts): OneInFlight<Carried> {
  let timer: NodeJS.Timeout | undefined;
  /** What is held back is looked at again when that can be over, also where nobody says so. */
  const wakeLater = () => {
    clearTimeout(timer);
    const atMs = parts.outbox.nextLapseMs;
    if (parts.outbox.depth === 0 || atMs === Number.POSITIVE_INFINITY) return;
    timer = setTimeout(() => line.kick(), Math.max(1, Math.ceil(atMs - parts.nowMs())));
    timer.unref();
  };
  const line = new OneInFlight<Carried>({
    broker: parts.broker,
    failed: parts.failed,
    next: () => {
      parts.outbox.lapse(parts.nowMs());
      const carried = nextPack(parts);
      if (carried === undefined) wakeLater();
      return carried;
    },
    stored: ({ pack }) => {
      const runs = parts.outbox.settle(pack);
      parts.turns.addLater(() => parts.table.delete(runs));
    },
  });
  return line;
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
