/** Who the service is, and whom it believes: from the keys folder, as that changes. */

import {
  type Caller,
  createLiveVerifier,
  createTokenSigner,
  LiveTrust,
  type TokenSigner,
  type TokenVerifier,
  type Trust,
} from '@fleetwire/identity';
import type { FleetwireError } from '@fleetwire/kernel';

/** The error to refuse a good token with, such as TOKEN_REVOKED; undefined: it may pass. */
export type RefuseToken = (caller: Caller) => FleetwireError | undefined;

export interface ServiceIdentity {
  /** At most 5 s old. */
  readonly trust: Trust;
  readonly verifier: TokenVerifier;
  readonly tokens: TokenSigner;
  /** Asked from now on about every token that is verified, instead of whoever was asked before. */
  refuse(hook: RefuseToken): void;
  close(): void;
}

/** For those who only read the trust; verifier and signer look for themselves. */
const LOOK_MS = 4000;

/**
 * Tokens are stamped and judged by `nowMs`. Keys that are rotated while the service runs are followed: a new one at
 * once, a dropped one within 5 s. Throws failed_precondition KEYS_MISSING or KEYS_UNREADABLE.
 */
export async function openIdentity(
  keysDir: string,
  service: string,
  nowMs: () => number,
): Promise<ServiceIdentity> {
  const trust = await LiveTrust.open(keysDir);
  let hook: RefuseToken | undefined;
  const verifier = createLiveVerifier(trust, { nowMs, refused: (caller) => hook?.(caller) });
  const tokens = await createTokenSigner(keysDir, service, nowMs, trust);
  const look = setInterval(() => void trust.fresh(LOOK_MS / 2), LOOK_MS).unref();
  return {
    get trust() {
      return trust.current;
    },
    verifier,
    tokens,
    refuse(to) {
      hook = to;
    },
    close: () => clearInterval(look),
  };
}
