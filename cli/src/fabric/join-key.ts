/** A join token is spent on the first key that comes with it, also when a name is refused: that key is used again. */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';
import { putFile } from '../files.ts';
import { HUB_NODE, neverJoined, nodeFolder, nodeNames, nodeProcess } from '../local-nodes.ts';

const IDENTITY = 'identity.json';
/** Digest of the token with which the folder tried to join. */
const TRIED = 'join-token.sha256';
/** After these the key is worth no more than the token. */
const WORTHLESS: readonly string[] = [
  'JOIN_TOKEN_INVALID',
  'JOIN_TOKEN_USED',
  'JOIN_TOKEN_EXPIRED',
  'JOIN_TOKEN_REVOKED',
];

const digestOf = (token: string) => createHash('sha256').update(token).digest('hex');
const triedIn = (folder: string) => readFile(join(folder, TRIED), 'utf8').catch(() => '');

/**
 * Runs `start` for the node `name`, which may join with `token`; with the key of a folder of this machine that tried the same
 * token, has not joined and does not run, whose place this one takes. Rejects as `start` does; a folder that was new and
 * whose token is worth nothing is gone then.
 */
export async function withJoinKey<T>(
  dataFolder: string,
  name: string,
  token: string | undefined,
  start: () => Promise<T>,
): Promise<T> {
  const folder = nodeFolder(dataFolder, name);
  if (token === undefined || !(await neverJoined(folder))) return start();
  const digest = digestOf(token);
  const hasKey = existsSync(join(folder, IDENTITY));
  const took = !hasKey && (await takeKey(dataFolder, name, digest));
  await putFile(join(folder, TRIED), digest);
  try {
    const started = await start();
    await rm(join(folder, TRIED), { force: true });
    return started;
  } catch (error) {
    const worthless = error instanceof FleetwireError && WORTHLESS.includes(error.reason);
    if (worthless && !hasKey && !took && (await neverJoined(folder)))
      await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** True when there was one. */
async function takeKey(dataFolder: string, name: string, digest: string): Promise<boolean> {
  for (const other of await nodeNames(dataFolder)) {
    const from = nodeFolder(dataFolder, other);
    if (other === name || other === HUB_NODE || nodeProcess(from) !== undefined) continue;
    if ((await triedIn(from)) !== digest || !(await neverJoined(from))) continue;
    const to = nodeFolder(dataFolder, name);
    const taken = await rename(join(from, IDENTITY), join(to, IDENTITY)).then(
      () => true,
      () => false,
    );
    if (!taken) continue;
    await rm(from, { recursive: true, force: true });
    return true;
  }
  return false;
}
