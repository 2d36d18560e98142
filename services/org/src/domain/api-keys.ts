/** Rules of API keys: what makes one acceptable, and what a found key is worth at a moment. */

import { isApiKey } from '@fleetwire/identity';
import { FleetwireError, lineViolation } from '@fleetwire/kernel';
import { refuseViolations, TEXT_LIMITS } from './texts.ts';

/** Name of the key that owners and members begin with; by it, and its age, CreateOrg finds the owner's again. */
export const FIRST_KEY = 'first key';

/** The moments of a key's life, milliseconds since the Unix epoch. */
export interface KeyLife {
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
}

/** Throws API_KEY_INVALID for a text that cannot be a key, before anything is looked up. */
export function checkKeyText(text: string): void {
  if (!isApiKey(text)) throw invalidKey();
}

export function invalidKey(): FleetwireError {
  return new FleetwireError('unauthenticated', 'API_KEY_INVALID', 'this API key is not known', {
    help: 'Check that the whole key was given; keys begin with fwk_.',
  });
}

/** Throws API_KEY_REVOKED or API_KEY_EXPIRED when the key is no longer good at `nowMs`. */
export function checkKeyLife(key: KeyLife, nowMs: number): void {
  if (key.revokedAtMs !== null) {
    throw new FleetwireError('unauthenticated', 'API_KEY_REVOKED', 'this API key was revoked', {
      help: 'Ask an admin of the org for a new one.',
      details: { revoked_at_ms: String(key.revokedAtMs) },
    });
  }
  if (key.expiresAtMs !== null && key.expiresAtMs <= nowMs) {
    throw new FleetwireError('unauthenticated', 'API_KEY_EXPIRED', 'this API key has expired', {
      help: 'Ask an admin of the org for a new one.',
      details: { expired_at_ms: String(key.expiresAtMs) },
    });
  }
}

/** Throws INVALID_KEY_NAME: one line of up to 100 characters. */
export function checkKeyName(name: string): void {
  refuseViolations('INVALID_KEY_NAME', [lineViolation('name', name, TEXT_LIMITS.nameChars)]);
}

/** 0 stands for no end and gives null; throws EXPIRY_IN_THE_PAST. */
export function checkExpiry(expiresAtMs: number, nowMs: number): number | null {
  if (expiresAtMs === 0) return null;
  if (expiresAtMs > nowMs) return expiresAtMs;
  throw new FleetwireError('invalid_argument', 'EXPIRY_IN_THE_PAST', 'the key would have expired already', {
    help: 'Give a later moment in milliseconds since the Unix epoch, or 0 for no end.',
  });
}

/** What is shown of a key, to tell keys apart: the marker and four characters more. */
export function keyPrefix(key: string): string {
  return key.slice(0, 8);
}
