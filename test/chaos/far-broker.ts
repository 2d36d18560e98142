/**
 * Loaded into routers: their broker is far away and has much to do. It answers a publish to an inbox after up to 60 ms, so
 * that at any moment much is stored and not acknowledged; and it refuses some, as a server does that has too much to do
 * (error 10167, since nats-server 2.11) or a cluster between two leaders: one is not taken, the next one is. A single older
 * server takes what comes on a connection in order or not at all, so it would never show why one pack may be in flight.
 */

import { filters } from '@fleetwire/contract';
import { FleetwireError, pause } from '@fleetwire/kernel';
import { replaceSource } from './replace-source.ts';

const ANSWER_MS = 60;
/** One of so many packs. */
const REFUSED = 100;

declare global {
  var farBroker: <T>(subject: string, publish: () => Promise<T>) => Promise<T>;
}

const inboxes = filters.allInbox.slice(0, -1);

globalThis.farBroker = async (subject, publish) => {
  if (!subject.startsWith(inboxes)) return publish();
  if (Math.random() * REFUSED < 1) {
    await pause(Math.random() * ANSWER_MS);
    throw new FleetwireError('unavailable', 'JETSTREAM_BUSY', `publishing to ${subject}: too busy (10167)`);
  }
  try {
    return await publish();
  } finally {
    await pause(Math.random() * ANSWER_MS);
  }
};

replaceSource('far-broker', [
  {
    file: 'libs/broker/src/publisher.ts',
    text: 'return correlator.send(subject, headers, payload, timeoutMs, storing);',
    by: `return globalThis.farBroker(subject, () =>
    correlator.send(subject, headers, payload, timeoutMs, storing));`,
  },
]);
