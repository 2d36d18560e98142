/** Lists of recipients as bytes, made once for each list: those of a channel serve many messages. */

import { hash } from 'node:crypto';
import type { RouteEntry } from './route-entry.ts';

/** InboxEntry.recipients: field 2, length-delimited. */
const RECIPIENT_TAG = (2 << 3) | 2;
/** Tag and length: an id has less than 128 bytes. */
const ID_HEAD = 2;

export interface RecipientList {
  /** As they stand in an encoded InboxEntry. */
  readonly bytes: Uint8Array;
  /** The same for the same agents in the same order, and for no others. */
  readonly digest: string;
}

const known = new WeakMap<readonly RouteEntry[], RecipientList>();

/** `recipients` must not change afterwards. */
export function listOf(recipients: readonly RouteEntry[]): RecipientList {
  let list = known.get(recipients);
  if (list === undefined) {
    const bytes = encodeIds(recipients);
    list = { bytes, digest: hash('sha256', bytes, 'base64url') };
    known.set(recipients, list);
  }
  return list;
}

function encodeIds(recipients: readonly RouteEntry[]): Uint8Array {
  let room = 0;
  for (const { agent } of recipients) room += agent.length + ID_HEAD;
  const buffer = Buffer.allocUnsafeSlow(room);
  let at = 0;
  for (const { agent } of recipients) {
    buffer[at] = RECIPIENT_TAG;
    buffer[at + 1] = agent.length;
    at += ID_HEAD + buffer.write(agent, at + ID_HEAD, 'latin1');
  }
  return buffer;
}
