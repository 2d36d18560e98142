/** Keys of the org service's own: FLEETWIRE_ORG_<KEY>. */

import { defineSection, type SectionValues, z } from '@fleetwire/config';

export const orgSection = defineSection('org', {
  owner_email: z
    .string()
    .min(3)
    .max(254)
    .optional()
    .describe(
      'E-mail of the owner of an org that is created at first start; else the one given at bootstrap',
    ),
  token_ttl_s: z
    .number()
    .int()
    .min(60)
    .max(86_400)
    .default(900)
    .describe('Seconds that a token made of an API key is good for'),
  max_api_keys: z
    .number()
    .int()
    .min(1)
    .max(100_000)
    .default(1000)
    .describe('API keys of one org that are neither revoked nor expired; the bound of a listing as well'),
  max_join_tokens: z
    .number()
    .int()
    .min(1)
    .max(100_000)
    .default(1000)
    .describe('Join tokens of one org that are neither spent nor expired'),
  last_used_interval_s: z
    .number()
    .int()
    .min(0)
    .max(86_400)
    .default(60)
    .describe('Seconds between two records of when an API key was last used'),
});

export type OrgConfig = SectionValues<typeof orgSection>;
