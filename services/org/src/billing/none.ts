/** Billing where nobody is billed: the default of self-hosting. It makes no calls, and subscriptions never exist. */

import { FleetwireError } from '@fleetwire/kernel';
import type { Billing } from './port.ts';

function notConfigured(): FleetwireError {
  return new FleetwireError('unimplemented', 'BILLING_NOT_CONFIGURED', 'this installation bills nobody', {
    help: 'Set FLEETWIRE_ORG_BILLING to stripe to bill by subscription.',
  });
}

/** Nothing is found, nothing need be cancelled; making a subscription rejects with unimplemented BILLING_NOT_CONFIGURED. */
export const noBilling: Billing = {
  kind: 'none',
  ensureCustomer: () => Promise.reject(notConfigured()),
  createSubscription: () => Promise.reject(notConfigured()),
  changeSubscription: () => Promise.reject(notConfigured()),
  cancelSubscription: () => Promise.resolve(),
  readSubscription: () => Promise.resolve(undefined),
  findSubscription: () => Promise.resolve(undefined),
  readEvent: () => {
    throw notConfigured();
  },
};
