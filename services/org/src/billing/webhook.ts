/** Takes webhook events of the billing provider: each is only a reason to look again, so their order and number do not matter. */

import { type Clock, FleetwireError, nowMs } from '@fleetwire/kernel';
import type { Store, StoreTransaction } from '@fleetwire/store';
import type { Billing, ProviderEvent } from './port.ts';

/** An event of Stripe has a few KiB. */
export const WEBHOOK_BYTES_MAX = 262_144;

export interface WebhookParts {
  readonly billing: Billing;
  readonly store: Store;
  readonly clock: Clock;
  /** An org was set due. */
  kick(): void;
}

/** `repeated`: that very event was here before. `ignored`: it is about nothing of ours. */
export type WebhookAnswer = 'taken' | 'repeated' | 'ignored';

/**
 * Whatever it resolves with is to be answered with 200; what was taken is committed. Rejects as `Billing.readEvent`
 * does, with invalid_argument WEBHOOK_TOO_LARGE, or unavailable DATABASE_AWAY: the provider then sends it again.
 */
export async function handleWebhook(
  parts: WebhookParts,
  rawBody: Buffer,
  signature: string | undefined,
): Promise<WebhookAnswer> {
  if (rawBody.length > WEBHOOK_BYTES_MAX)
    throw new FleetwireError('invalid_argument', 'WEBHOOK_TOO_LARGE', 'an event has at most 256 KiB', {
      details: { bytes: String(rawBody.length), bytes_max: String(WEBHOOK_BYTES_MAX) },
    });
  const now = nowMs(parts.clock);
  const event = parts.billing.readEvent(rawBody, signature ?? '', now);
  if (!isOfInterest(event.type)) return 'ignored';
  const answer = await parts.store.transaction((tx) => take(tx, event, now));
  if (answer === 'taken') parts.kick();
  return answer;
}

/** `customer.updated`: perhaps there is a card now. */
function isOfInterest(type: string): boolean {
  if (type === 'customer.updated' || type === 'customer.deleted') return true;
  return type.startsWith('customer.subscription.') || type.startsWith('invoice.');
}

async function take(tx: StoreTransaction, event: ProviderEvent, nowMs: number): Promise<WebhookAnswer> {
  const fresh = await tx.query(
    `insert into billing_events (id, type, received_at_ms) values ($1, $2, $3)
     on conflict (id) do nothing returning id`,
    [event.id, event.type, nowMs],
  );
  if (fresh.length === 0) return 'repeated';
  const columns = [
    ['subscription_id', event.subscriptionId],
    ['customer_id', event.customerId],
    ['id', event.org],
  ] as const;
  for (const [column, value] of columns)
    if (value !== undefined && (await setDue(tx, column, value, nowMs))) return 'taken';
  return 'ignored';
}

/** Set over a claim as well: what is being done may have been decided before this event. */
async function setDue(
  tx: StoreTransaction,
  column: 'subscription_id' | 'customer_id' | 'id',
  value: string,
  nowMs: number,
): Promise<boolean> {
  const rows = await tx.query(
    `update orgs set billing_due_at_ms = least(billing_due_at_ms, $2::bigint) where ${column} = $1 returning id`,
    [value, nowMs],
  );
  return rows.length > 0;
}
