/** Keys of the org section that the HTTP listener reads: FLEETWIRE_ORG_<KEY>. */

import { whole, z } from '@fleetwire/config';

export const httpKeys = {
  http_listen: z
    .string()
    .regex(/^.+:\d{1,5}$/, 'use host:port')
    .default('127.0.0.1:0')
    .describe('host:port of the listener for invite links and billing webhooks; port 0: a free one'),
  public_url: z
    .string()
    .max(500)
    .regex(/^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/, 'use http(s)://host, with a path if there is one')
    .optional()
    .describe('What invite links begin with; else http:// and the address that is listened on'),
  http_trusted_proxies: z
    .string()
    .max(2000)
    .default('')
    .describe('Addresses and networks of proxies whose X-Forwarded-For is believed, comma-separated'),
  http_connections_max: whole(500, 1, 100_000).describe('HTTP connections at a time'),
  http_body_bytes_max: whole(262_144, 1024, 16_777_216).describe('Body of one HTTP request'),
  http_request_timeout_ms: whole(15_000, 100, 600_000).describe(
    'For an HTTP request to arrive, and again for its answer',
  ),
  invite_rate_burst: whole(30, 1, 100_000).describe('Looks at invites that one address may take at once'),
  invite_rate_per_minute: whole(60, 1, 1_000_000).describe(
    'Looks at invites that one address gets anew in a minute',
  ),
};

/** `10.0.0.0/8, ::1` as the server takes it. */
export function trustedProxies(text: string): readonly string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** What links begin with, without a slash at the end. `address` is the listener's, with its real port. */
export function linkBase(publicUrl: string | undefined, address: string): string {
  return (publicUrl ?? `http://${address}`).replace(/\/+$/, '');
}
