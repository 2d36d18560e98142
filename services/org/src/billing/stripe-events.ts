/** Verifies what claims to be a webhook event of Stripe and finds out what it is about. */

import { FleetwireError, invariant } from '@fleetwire/kernel';
import type Stripe from 'stripe';
import type { ProviderEvent } from './port.ts';
import { idOf, ORG_KEY } from './stripe-answers.ts';

/** How old a signature may be; what Stripe recommends. */
export const TOLERANCE_S = 300;
/** The library takes it for "any age". */
const ANY_AGE = 0;

interface SignedBody {
  readonly rawBody: Buffer;
  readonly signature: string;
  readonly nowMs: number;
}

/** As of `Billing.readEvent`. */
export function readStripeEvent(stripe: Stripe, secret: string, signed: SignedBody): ProviderEvent {
  // Twice, so that a wrong signature and an old one are told apart by what was asked, not by the text of the error.
  if (!isSigned(stripe, secret, signed, ANY_AGE))
    throw new FleetwireError('unauthenticated', 'WEBHOOK_SIGNATURE_INVALID', 'the signature does not fit', {
      help: 'Check that the webhook secret is the one of this endpoint.',
    });
  if (!isSigned(stripe, secret, signed, TOLERANCE_S))
    throw new FleetwireError('unauthenticated', 'WEBHOOK_TOO_OLD', 'the event was signed too long ago', {
      help: 'Let the provider send it again; if every event is refused, check the clock.',
    });
  return eventOf(parsed(signed.rawBody));
}

/** The library throws errors of several types for headers that are none; each of them means no. */
function isSigned(stripe: Stripe, secret: string, signed: SignedBody, toleranceS: number): boolean {
  const { rawBody, signature, nowMs } = signed;
  const { signature: verifier } = stripe.webhooks;
  invariant(verifier !== null, 'the library verifies signatures');
  try {
    return verifier.verifyHeader(rawBody, signature, secret, toleranceS, undefined, nowMs);
  } catch {
    return false;
  }
}

function parsed(rawBody: Buffer): unknown {
  try {
    return JSON.parse(rawBody.toString());
  } catch {
    throw invalid();
  }
}

function invalid(): FleetwireError {
  return new FleetwireError('invalid_argument', 'WEBHOOK_INVALID', 'what was signed is no event of Stripe');
}

/** Endpoints have an API version of their own, so an invoice names its subscription in one of two places. */
function eventOf(event: unknown): ProviderEvent {
  const { id, type, created, data } = fieldsOf(event);
  if (typeof id !== 'string' || id === '' || id.length > 255 || typeof type !== 'string') throw invalid();
  const object = fieldsOf(fieldsOf(data)['object']);
  const parent = fieldsOf(fieldsOf(object['parent'])['subscription_details']);
  const details = fieldsOf(object['subscription_details']);
  const own = object['object'] === 'subscription' || object['object'] === 'customer';
  const metadata = [own ? object['metadata'] : undefined, parent['metadata'], details['metadata']];
  const org = metadata.map((each) => fieldsOf(each)[ORG_KEY]).find((each) => typeof each === 'string');
  const ownId = (kind: string) => (object['object'] === kind ? idOf(object['id']) : undefined);
  return {
    id,
    type,
    createdMs: typeof created === 'number' ? created * 1000 : 0,
    customerId: ownId('customer') ?? idOf(object['customer']),
    subscriptionId: ownId('subscription') ?? idOf(parent['subscription']) ?? idOf(object['subscription']),
    org,
  };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
