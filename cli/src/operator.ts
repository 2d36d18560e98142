/** The fabric's operator: whoever can read the keys folder may sign as them. */

import { join } from 'node:path';
import { createTokenSigner, OPERATOR } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import type { CliConfig } from './config.ts';
import { fabricFolder } from './fabric/fabric-record.ts';

export const keysFolderOf = (config: CliConfig): string =>
  config.keys.dir ?? join(fabricFolder(config.folders.data), 'keys');

/** A short-lived token of the operator. Rejects failed_precondition OPERATOR_KEY_MISSING. */
export async function operatorToken(config: CliConfig): Promise<string> {
  const keys = keysFolderOf(config);
  try {
    const signer = await createTokenSigner(keys, OPERATOR);
    return await signer.serviceToken();
  } catch (cause) {
    throw new FleetwireError(
      'failed_precondition',
      'OPERATOR_KEY_MISSING',
      `${keys} has no key with which the operator's calls are signed`,
      {
        help: 'Run this where the fabric runs, as the user who started it; or set FLEETWIRE_KEYS_DIR.',
        details: { keys },
        cause,
      },
    );
  }
}
