/** What billing has settled, told as any change is: in the audit and as an event, in the same transaction. */

import { type Clock, nowMs } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { type Settle, storeOutcome } from '../billing/store-outcome.ts';
import { tellChange, writeAudit } from '../store/records.ts';

export function settling(store: Store, clock: Clock, kick: () => void): Settle {
  const settle = storeOutcome(store, clock, async ({ query }, change) => {
    const { org, planFrom, planTo, statusFrom, statusTo } = change;
    const atMs = nowMs(clock);
    const said = { org, actor: 'billing', target: org, atMs };
    const details = { plan_from: planFrom, plan_to: planTo, status_from: statusFrom, status_to: statusTo };
    await writeAudit(query, {
      ...said,
      actorKind: 'service',
      action: planFrom === planTo ? 'billing.status' : 'plan.change',
      decision: 'allowed',
      peer: '',
      details,
    });
    const name = planFrom === planTo ? 'billing_changed' : 'plan_changed';
    await tellChange(query, { ...said, name, details, traceparent: '' });
  });
  return async (org, outcome) => {
    await settle(org, outcome);
    kick();
  };
}
