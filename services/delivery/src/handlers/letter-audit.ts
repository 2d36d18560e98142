/** Tells the audit of replays and drops: an event for what each call has changed, once. */

import type { Broker, DedupeIds } from '@fleetwire/broker';
import { EVENT_NAMES, eventSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import type { Store } from '@fleetwire/store';
import type { LetterRequest } from '../store/replay-table.ts';
import { requestTold } from '../store/replay-table.ts';

export interface LetterAuditParts {
  readonly store: Store;
  readonly publish: Broker['store'];
  readonly ids: DedupeIds;
}

const SERVICE = 'delivery';

/** Nothing where the audit knows it already. The same event has the same id and time, so that repeating it does no harm. */
export async function tellAudit(parts: LetterAuditParts, request: LetterRequest): Promise<void> {
  const { org, requestId, action, decidedBy, selection, done, told, doneAtUs } = request;
  if (told >= done) return;
  const id = parts.ids(`audit ${org} ${requestId} ${done}`);
  const event = Event.fromPartial({
    id,
    org,
    service: SERVICE,
    name: EVENT_NAMES.acted,
    atMs: Math.floor(doneAtUs / 1000),
    actor: decidedBy,
    details: {
      action: `dead.${action}`,
      count: String(done - told),
      selection,
      request: requestId,
    },
  });
  const subject = eventSubject.build({ org, service: SERVICE, name: EVENT_NAMES.acted });
  await parts.publish(subject, encode(Event, event), { msgId: id });
  await requestTold(parts.store, request);
}
