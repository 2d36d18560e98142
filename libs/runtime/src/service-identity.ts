/** Who the service is, and whom it believes: from the keys folder. */

import {
  createTokenSigner,
  createTokenVerifier,
  loadTrust,
  type TokenSigner,
  type TokenVerifier,
  type Trust,
} from '@fleetwire/identity';

export interface ServiceIdentity {
  readonly trust: Trust;
  readonly verifier: TokenVerifier;
  readonly tokens: TokenSigner;
}

/** Tokens are stamped and judged by `nowMs`. Throws failed_precondition KEYS_MISSING or KEYS_UNREADABLE. */
export async function openIdentity(
  keysDir: string,
  service: string,
  nowMs: () => number,
): Promise<ServiceIdentity> {
  const trust = await loadTrust(keysDir);
  const verifier = createTokenVerifier(trust.jwks, { nowMs });
  return { trust, verifier, tokens: await createTokenSigner(keysDir, service, nowMs) };
}
