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

export async function openIdentity(keysDir: string, service: string): Promise<ServiceIdentity> {
  const trust = await loadTrust(keysDir);
  const verifier = createTokenVerifier(trust.jwks);
  return { trust, verifier, tokens: await createTokenSigner(keysDir, service) };
}

const LIFETIME_MS = 600_000;

/** The service's own token, made anew at half of its life. */
export function ownToken(
  identity: ServiceIdentity,
  service: string,
  nowMs = Date.now,
): () => Promise<string> {
  let current: Promise<string> | undefined;
  let renewAt = 0;
  return () => {
    if (current === undefined || nowMs() >= renewAt) {
      renewAt = nowMs() + LIFETIME_MS / 2;
      current = identity.tokens
        .sign({ sub: service, org: '', scopes: ['service'], lifetimeMs: LIFETIME_MS })
        .then((signed) => signed.token);
      current.catch(() => {
        current = undefined;
      });
    }
    return current;
  };
}
