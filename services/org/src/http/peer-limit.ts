/** How often one address may look at invites: a bucket for each, and a bound on how many are remembered. */

import { type Clock, FleetwireError, keepNewest, TokenBucket } from '@fleetwire/kernel';

export interface PeerLimitOptions {
  readonly burst: number;
  readonly perMinute: number;
  /** Buckets that are kept; of those beyond, the one that was idle longest is forgotten. Default 10,000. */
  readonly peersMax?: number;
  readonly clock: Clock;
}

/** Gives a function that throws `resource_exhausted` TOO_MANY_REQUESTS; what it refuses costs nothing. */
export function peerLimit(options: PeerLimitOptions): (peer: string) => void {
  const { burst, perMinute, peersMax = 10_000, clock } = options;
  const buckets = new Map<string, TokenBucket>();
  return (peer) => {
    const name = networkOf(peer);
    const now = clock.monotonicMs();
    const bucket = buckets.get(name) ?? new TokenBucket({ tokens: perMinute, perMs: 60_000, burst }, now);
    // Anew, so that the map's order is that of last use.
    buckets.delete(name);
    buckets.set(name, bucket);
    keepNewest(buckets, peersMax);
    const taken = bucket.take(1, now);
    if (!taken.ok) throw tooMany(taken.retryAfterMs);
  };
}

function tooMany(retryAfterMs: number): FleetwireError {
  return new FleetwireError(
    'resource_exhausted',
    'TOO_MANY_REQUESTS',
    'too many requests came from your network',
    { help: 'Wait a moment and try again.', retryAfterMs },
  );
}

/** An IPv4 address, or the /64 that one customer of an IPv6 provider has. */
export function networkOf(peer: string): string {
  const mapped = /^::ffff:([\d.]+)$/i.exec(peer)?.[1];
  if (mapped !== undefined || !peer.includes(':')) return mapped ?? peer;
  const [left = '', right] = peer.split('%')[0]!.toLowerCase().split('::');
  const head = left.split(':').filter((group) => group !== '');
  const tail = right?.split(':').filter((group) => group !== '') ?? [];
  const gap = right === undefined ? 0 : Math.max(0, 8 - head.length - tail.length);
  const groups = [...head, ...Array<string>(gap).fill('0'), ...tail];
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}
