/** What tests of moving agents put beside a registry: routers that say what they are told to, and a look into inboxes. */

import { type Broker, claimLease } from '@fleetwire/broker';
import { flushSubject, inboxSubject, LEASE_KEYS, LEASES_BUCKET } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Envelope, FlushRequest, FlushResponse, InboxPack } from '@fleetwire/gen/message';
import type { Agent } from '@fleetwire/gen/registry';
import type { TestNode } from './fixture.ts';

/** Among the live routers until `stop`. */
export async function standInRouter(
  broker: Broker,
  instance: string,
  flushed: (asked: FlushRequest) => boolean,
): Promise<{ asked: FlushRequest[]; stop(): Promise<void> }> {
  const claims = claimLease(await broker.bucket(LEASES_BUCKET), instance);
  const lease = await claims.acquire(LEASE_KEYS.router(instance));
  const asked: FlushRequest[] = [];
  const subscription = broker.subscribe(flushSubject.build({ instance }), (message) => {
    const request = FlushRequest.decode(message.data);
    asked.push(request);
    message.respond(encode(FlushResponse, { flushed: flushed(request) }));
  });
  const stop = async () => {
    subscription.stop();
    await lease!.release();
  };
  return { asked, stop };
}

export const inboxOf = (node: TestNode, agent: Agent): string =>
  inboxSubject.build({ shard: 0, org: node.welcome.org, node: node.id, agent: agent.id });

/** What waits on an inbox subject, in order: texts, those that were moved with a plus, and marks. */
export async function waitingAt(broker: Broker, subject: string): Promise<string[]> {
  const found: string[] = [];
  for (let from = 1; ; ) {
    const message = await broker.messages.nextBySubject('INBOX', subject, from);
    if (message === undefined) return found;
    from = message.sequence + 1;
    const { entries, mark } = InboxPack.decode(message.data);
    if (mark !== undefined) found.push(mark.end ? 'end' : `begin ${mark.name} ${mark.adapter}`);
    for (const { envelope, movedEpoch } of entries)
      found.push(`${Buffer.from(Envelope.decode(envelope).body).toString()}${movedEpoch === 0 ? '' : '+'}`);
  }
}
