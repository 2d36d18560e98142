/** Giving the servers the claims of the accounts that bootstrap knows. */

import { accountIssuer, loadSecrets, loadTrust, signingOfSeeds } from '@fleetwire/identity';
import {
  ensureOrgAccount,
  giveClaims,
  heldAccounts,
  heldClaims,
  type SystemAccount,
} from './account-claims.ts';

/** Tells the servers of each org's account, and of a fabric account whose exports have grown since they started. */
export async function pushAccounts(system: SystemAccount, keysDir: string): Promise<void> {
  const [{ fabric }, secrets] = [await loadTrust(keysDir), await loadSecrets(keysDir)];
  const held = await heldAccounts(system);
  const claims = await heldClaims(system, held, fabric.account);
  if (claims !== fabric.jwt) await giveClaims(system, fabric.jwt, 'FABRIC');
  const issuer = accountIssuer(secrets);
  for (const { id, keys } of secrets.orgs)
    await ensureOrgAccount(system, issuer, { id, ...signingOfSeeds(keys) }, held);
}
