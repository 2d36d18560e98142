/** The key by which a place in a stream is followed from this machine, in a file of its own. */

import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createNodeKey, publicNodeKey } from '@fleetwire/identity';
import { FleetwireError, printable } from '@fleetwire/kernel';
import { textIfThere, unwritable, writeWhole } from './files.ts';

export interface SubscriberKey {
  readonly publicKey: string;
  readonly seed: string;
}

const FILE_BYTES_MAX = 1024;

/**
 * The key of this file, which is made when it is not there: so the next run is the same subscriber. What is there and cannot be
 * used stays as it is. Rejects failed_precondition KEY_FILE_DAMAGED, invalid_argument FILE_UNREADABLE, FILE_TOO_LARGE,
 * FILE_UNWRITABLE.
 */
export async function subscriberKey(file: string): Promise<SubscriberKey> {
  const text = await textIfThere(file, FILE_BYTES_MAX);
  if (text === undefined) return renewSubscriberKey(file);
  const seed = text.trim();
  const publicKey = publicNodeKey(seed);
  if (publicKey !== undefined) return { publicKey, seed };
  throw new FleetwireError('failed_precondition', 'KEY_FILE_DAMAGED', `${printable(file)} holds no key`, {
    help: 'Remove it: a new key is made, and a place that was given a name goes on by it.',
  });
}

/** Another key in the place of the one that is there, whole or not at all. Rejects FILE_UNWRITABLE. */
export async function renewSubscriberKey(file: string): Promise<SubscriberKey> {
  const key = createNodeKey();
  const folder = dirname(file);
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw unwritable(folder, cause);
  });
  await writeWhole(file, (append) => append(`${key.seed}\n`));
  return key;
}
