/** The event by which a service tells what an org has used or has. */

import { encode } from '@fleetwire/gen/encode';
import { Event, type Usage } from '@fleetwire/gen/event';
import { EVENT_NAMES, eventSubject } from './subjects.ts';

export interface UsageTold {
  /** Repeats only when nothing has changed. */
  readonly id: string;
  readonly org: string;
  /** Who tells. */
  readonly service: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly usage: Usage;
}

/** As it goes to EVENTS. */
export function usageEvent(told: UsageTold): { readonly subject: string; readonly payload: Uint8Array } {
  const { id, org, service, atMs, usage } = told;
  const name = EVENT_NAMES.usage;
  const event = { id, org, service, name, atMs, actor: service, target: org, details: {}, usage };
  return { subject: eventSubject.build({ org, service, name }), payload: encode(Event, event) };
}
