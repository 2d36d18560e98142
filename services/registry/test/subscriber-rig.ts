/** A program outside of the fabric, as the tests of subscriptions have it: it connects by what it was given, and pulls. */

import { type Broker, connectBroker, type PulledMessage } from '@fleetwire/broker';
import { receiptSubject } from '@fleetwire/contract';
import type { OpenSubscriptionResponse } from '@fleetwire/gen/registry';

/** Once, without waiting for servers. Without accounts there is nothing to show. */
export function follow(opened: OpenSubscriptionResponse, seed: string): Promise<Broker> {
  const credentials = () => ({ jwt: opened.userJwt, seed: new TextEncoder().encode(seed) });
  return connectBroker({
    urls: opened.natsUrls,
    name: 'subscriber',
    waitMs: 0,
    inboxPrefix: opened.inboxPrefix,
    ...(opened.userJwt === '' ? {} : { credentials }),
  });
}

/** What comes until there are so many. */
export async function take(
  broker: Broker,
  opened: OpenSubscriptionResponse,
  count: number,
): Promise<PulledMessage[]> {
  const { subscription, jetstreamDomain: domain } = opened;
  const { stream, consumer } = subscription!;
  const pull = broker.pull(stream as 'RECEIPTS', consumer, { batch: 10, expiresMs: 2000, domain });
  const found: PulledMessage[] = [];
  for await (const batch of pull) {
    found.push(...batch);
    if (found.length >= count) break;
  }
  await pull.stop();
  return found;
}

export const texts = (messages: readonly PulledMessage[]): string[] =>
  messages.map(({ data }) => Buffer.from(data).toString());

/** Resolves when the servers have ended its connection. */
export const gone = (broker: Broker): Promise<void> =>
  new Promise((done) => void broker.onDisconnect(() => done()));

/** A receipt, as far as a subscriber's stream is concerned. */
export const told = (publisher: Broker, org: string, node: string, text: string) =>
  publisher.store(receiptSubject.build({ org, toNode: node, from: 'router' }), Buffer.from(text), {
    msgId: `${org} ${node} ${text}`,
  });
