/** Asks all routers that are alive whether an agent's mail is still under way by its old route. */

import type { Broker, Bucket, LeaseClaims } from '@fleetwire/broker';
import { flushSubject, LEASE_KEYS } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { FlushRequest, FlushResponse } from '@fleetwire/gen/message';

export interface RouterFlushOptions {
  readonly bucket: Pick<Bucket, 'keys'>;
  readonly leases: Pick<LeaseClaims, 'holderOf'>;
  readonly broker: Pick<Broker, 'request'>;
  readonly timeoutMs: number;
}

const MEMBERS = LEASE_KEYS.router('');
const PARTITION = /^router\.p\d+$/;

/**
 * Replicas that say that they are there, and those that hold a partition. One that died or was paused is among them until
 * its leases have lapsed, and publishes nothing once they have. Rejects while the bucket cannot be read.
 */
export async function liveRouters({ bucket, leases }: RouterFlushOptions): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const partitions: string[] = [];
  for (const key of await bucket.keys()) {
    if (key.startsWith(MEMBERS)) found.add(key.slice(MEMBERS.length));
    else if (PARTITION.test(key)) partitions.push(key);
  }
  for (const holder of await Promise.all(partitions.map((key) => leases.holderOf(key))))
    if (holder !== undefined) found.add(holder);
  return found;
}

/** Those that have not answered that nothing is left. Never rejects. */
export async function notFlushed(
  o: RouterFlushOptions,
  routers: ReadonlySet<string>,
  request: FlushRequest,
): Promise<string[]> {
  const payload = encode(FlushRequest, request);
  const ask = async (instance: string): Promise<boolean> => {
    try {
      const answer = await o.broker.request(flushSubject.build({ instance }), payload, o.timeoutMs);
      return FlushResponse.decode(answer).flushed;
    } catch {
      return false; // asked again, until it answers or its leases have lapsed
    }
  };
  const asked = [...routers];
  const answers = await Promise.all(asked.map(ask));
  return asked.filter((_, i) => answers[i] === false);
}
