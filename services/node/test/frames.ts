/** Words of busy recipients, for tests. */

import { foldName } from '@fleetwire/kernel';
import type { Busy, Ready } from '../src/domain/peer-signal.ts';

export function busy(name: string, more: Partial<Busy> = {}): Busy | Ready {
  const whose = { agent: `a_${foldName(name)}`, name, publisher: 'n_far', seq: 1 };
  const node = foldName(more.node ?? 'far');
  return { kind: 'busy', ...whose, reason: 'queue_full', retryAfterMs: 60_000, ...more, node };
}

export function ready(name: string, credits: number, more: Partial<Ready> = {}): Ready {
  const whose = { agent: `a_${foldName(name)}`, name, node: 'far', publisher: 'n_far', seq: 2 };
  return { kind: 'ready', ...whose, credits, ...more };
}

export function wholeBusy(more: Partial<Busy> = {}): Busy {
  const whose = { agent: '', name: '', node: '', publisher: 'router', seq: 1 };
  return { kind: 'busy', ...whose, reason: 'rate_limited', retryAfterMs: 1000, ...more };
}
