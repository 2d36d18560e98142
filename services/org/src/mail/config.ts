/** Keys of the org section that letters need: FLEETWIRE_ORG_<KEY>. */

import { secretText, whole, z } from '@fleetwire/config';

export const mailKeys = {
  smtp_url: secretText()
    .max(1000)
    .regex(/^smtps?:\/\/\S+$/, 'use smtp(s)://user:password@host:port')
    .optional()
    .describe(
      'Mail server: smtps:// for TLS, smtp:// for STARTTLS where it is offered; without it letters go to the log',
    ),
  mail_from: z
    .string()
    .max(320)
    .regex(/^[^<>\r\n]*<[^\s<>@]+@[^\s<>@]+>$|^[^\s<>@]+@[^\s<>@]+$/, 'use Name <user@host>')
    .default('Fleetwire <fleetwire@localhost>')
    .describe('Sender of letters'),
  mail_timeout_ms: whole(30_000, 100, 600_000).describe('For one letter to be taken by the mail server'),
  mail_concurrency: whole(4, 1, 100).describe('Letters that one replica sends at a time'),
  mail_retry_initial_ms: whole(10_000, 10, 3_600_000).describe(
    'Before the second try of a letter; then doubling',
  ),
  mail_retry_max_ms: whole(900_000, 10, 86_400_000).describe('Between two tries of a letter, at most'),
};
