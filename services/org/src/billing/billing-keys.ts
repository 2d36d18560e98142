/** The keys of the configuration that say who bills and how, and the billing that they make. */

import { envKey, type SectionValues, secretText, whole, z } from '@fleetwire/config';
import { FleetwireError } from '@fleetwire/kernel';
import { noBilling } from './none.ts';
import type { Billing } from './port.ts';
import { stripeBilling } from './stripe.ts';
import type { UpkeepLimits } from './upkeep.ts';

/** Part of the section `org`. */
export const billingKeys = {
  billing: z
    .enum(['none', 'stripe'])
    .default('none')
    .describe('Who bills the orgs; none: nobody, for hosting it yourself'),
  stripe_secret_key: secretText()
    .min(1)
    .optional()
    .describe('Secret or restricted key of the Stripe account'),
  stripe_webhook_secret: secretText()
    .min(1)
    .optional()
    .describe('Signing secret of the webhook endpoint (whsec_…)'),
  stripe_price_pro: z
    .string()
    .min(1)
    .optional()
    .describe('Id of the recurring price of one seat of Pro (price_…)'),
  stripe_price_team: z
    .string()
    .min(1)
    .optional()
    .describe('Id of the recurring price of one seat of Team (price_…)'),
  stripe_api_url: z
    .string()
    .regex(/^https?:\/\/[^/?#@]+\/?$/, 'use scheme, host and port only')
    .default('https://api.stripe.com')
    .describe('Stripe’s API, or a proxy in front of it; no path'),
  stripe_invoice_days: whole(14, 0, 365).describe(
    'Days that an invoice, sent by e-mail, may wait for its payment; 0: the customer’s card is charged',
  ),
  stripe_timeout_ms: whole(10_000, 1, 80_000).describe('How long one request to Stripe may take'),
  stripe_retries: whole(1, 0, 10).describe('Repetitions of a request that failed, before the org is put off'),
  billing_interval_ms: whole(5000, 10, 3_600_000).describe(
    'Time between two looks for orgs whose billing is due, besides those at each change',
  ),
};

export type BillingConfig = SectionValues<{ readonly name: string; readonly shape: typeof billingKeys }>;

const NEEDED = [
  'stripe_secret_key',
  'stripe_webhook_secret',
  'stripe_price_pro',
  'stripe_price_team',
] as const;

/** Throws invalid_argument INVALID_CONFIG, naming every key that Stripe needs and that is not set, or prices that are one. */
export function createBilling(config: BillingConfig): Billing {
  if (config.billing === 'none') return noBilling;
  const missing = NEEDED.filter((key) => config[key] === undefined).map(variable);
  if (missing.length > 0) throw invalid(`billing by Stripe needs ${missing.join(', ')}`);
  const prices = { pro: config.stripe_price_pro!, team: config.stripe_price_team! };
  if (prices.pro === prices.team)
    throw invalid(`${variable('stripe_price_pro')} and ${variable('stripe_price_team')} must differ`);
  return stripeBilling({
    secretKey: config.stripe_secret_key!,
    webhookSecret: config.stripe_webhook_secret!,
    prices,
    apiUrl: config.stripe_api_url,
    invoiceDays: config.stripe_invoice_days,
    timeoutMs: config.stripe_timeout_ms,
    retries: config.stripe_retries,
  });
}

const DAY_MS = 86_400_000;
/** Requests that billing one org may take. */
const REQUESTS = 10;

export function upkeepLimits(config: BillingConfig): UpkeepLimits {
  const requestMs = config.stripe_timeout_ms * (config.stripe_retries + 1);
  return {
    intervalMs: config.billing_interval_ms,
    claimMs: Math.max(120_000, REQUESTS * requestMs),
    backoff: { initialMs: 1000, maxMs: 600_000 },
    eventsKeptMs: 30 * DAY_MS,
  };
}

const variable = (key: string) => envKey({ name: 'org', shape: billingKeys }, key);

function invalid(message: string): FleetwireError {
  return new FleetwireError('invalid_argument', 'INVALID_CONFIG', message, {
    help: 'Correct the named keys; services/org/src/billing/README.md says where each is found.',
  });
}
