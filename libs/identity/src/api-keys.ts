/** API keys and join tokens: long random secrets of which only a SHA-256 is ever stored. */

import { createHash, randomBytes } from 'node:crypto';

/** 256 bits: nothing to guess, so a plain hash is enough to store. */
const SECRET_BYTES = 32;
const API_KEY = /^fwk_[A-Za-z0-9_-]{43}$/;

/** For people and programs. */
export function newApiKey(): string {
  return `fwk_${randomBytes(SECRET_BYTES).toString('base64url')}`;
}

/** For one node to join with, once. */
export function newJoinToken(): string {
  return `fwj_${randomBytes(SECRET_BYTES).toString('base64url')}`;
}

export function isApiKey(text: string): boolean {
  return API_KEY.test(text);
}

/** SHA-256 in lowercase hex: what is stored and looked up. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret, 'utf8').digest('hex');
}
