/**
 * Dedupe ids that nobody can guess. A stream drops a second message of an id whoever sent the first one and to whichever
 * subject, so on a stream to which nodes publish a guess would keep somebody else's message out.
 */

import { createHmac, createSecretKey } from 'node:crypto';

/** The id of what `what` identifies: the same from everybody with the same secret. */
export type DedupeIds = (what: string) => string;

/** `secret`: random, 16 bytes or more. */
export function dedupeIds(secret: Uint8Array): DedupeIds {
  // Made once: from bytes, Node.js makes it anew for each id, which takes seven times as long as the id.
  const key = createSecretKey(secret);
  return (what) => createHmac('sha256', key).update(what).digest('base64url').slice(0, 27);
}
