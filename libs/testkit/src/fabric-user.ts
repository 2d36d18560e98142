/** Somebody with every right in the fabric's account, such as no service has: for tests that look on or take a part. */

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadSecrets, newCreds } from '@fleetwire/identity';

/** Path of the creds file, made in the keys folder when it is not there yet. */
export async function fabricUser(keysDir: string): Promise<string> {
  const file = join(keysDir, 'nats', 'test.creds');
  if (!existsSync(file))
    writeFileSync(file, await newCreds('test', (await loadSecrets(keysDir)).fabric), { mode: 0o600 });
  return file;
}
