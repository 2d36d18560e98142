/** Keys of the org service's own: FLEETWIRE_ORG_<KEY>. */

import { defineSection, type SectionValues, whole, z } from '@fleetwire/config';
import { billingKeys } from './billing/billing-keys.ts';
import { httpKeys } from './http/config.ts';
import { mailKeys } from './mail/config.ts';

const count = (initial: number, max: number) => whole(initial, 1, max);

/** Only told to people; org itself calls none of them. */
const address = (service: string) =>
  z
    .string()
    .max(300)
    .default('')
    .describe(`Where new members reach ${service}, host:port; told with their first key`);

export const orgSection = defineSection('org', {
  owner_email: z
    .string()
    .min(3)
    .max(254)
    .optional()
    .describe(
      'E-mail of the owner of an org that is created at first start; else the one given at bootstrap',
    ),
  default_plan: z
    .enum(['free', 'pro', 'team', 'enterprise'])
    .optional()
    .describe('Plan of a new org; without billing enterprise, which limits nothing, with billing team'),
  token_ttl_s: whole(900, 60, 86_400).describe('Seconds that a token made of an API key is good for'),
  invite_ttl_s: whole(604_800, 60, 2_592_000).describe('Seconds that an invite is good for'),
  allow_unsafe_tenancy: z
    .boolean()
    .default(false)
    .describe('Several orgs also on a nats-server that lets nodes of one delete waiting mail of others'),
  max_orgs_per_user: count(20, 10_000).describe('Orgs that one user may own'),
  max_open_invites: count(1000, 100_000).describe('Invites of one org that are not used, revoked or expired'),
  max_api_keys: count(1000, 100_000).describe('API keys of one org that are neither revoked nor expired'),
  max_join_tokens: count(1000, 100_000).describe('Join tokens of one org that are neither spent nor expired'),
  max_policies: count(200, 1000).describe('Policies of one org'),
  max_policy_bytes: count(524_288, 786_432).describe(
    'Bytes of all policies of one org, as they are published',
  ),
  max_assignments: count(5000, 10_000).describe('Agents of one org that are assigned to workspaces'),
  max_letters_per_day: count(200, 100_000).describe('Invites by e-mail of one org in 24 hours'),
  last_used_interval_s: whole(60, 0, 86_400).describe(
    'Seconds between two records of when an API key was last used',
  ),
  audit_retention_days: count(365, 36_500).describe('Days after which audit entries are deleted'),
  relay_interval_ms: whole(1000, 10, 5000).describe(
    'Time between two looks for changes that another replica has left untold',
  ),
  upkeep_interval_ms: whole(1000, 10, 60_000).describe('Time between two looks for deletions that go on'),
  registry_address: address('registry'),
  router_address: address('router'),
  delivery_address: address('delivery'),
  ...httpKeys,
  ...mailKeys,
  ...billingKeys,
});

export type OrgConfig = SectionValues<typeof orgSection>;

/** Self-hosters are limited by nothing that nobody sells them. */
export function defaultPlan(config: OrgConfig): string {
  return config.default_plan ?? (config.billing === 'none' ? 'enterprise' : 'team');
}
