/** What the files of a keys folder hold, and reading them: each service reads only the files it is given. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';
import type { JWK } from 'jose';
import type { KeySeeds } from './accounts.ts';

export interface TrustedOrg {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  /** Public key of its NATS account. */
  readonly account: string;
  /** Of the first user, who gets the first API key; only for the first org. */
  readonly ownerEmail?: string;
}

/** Public: whom to trust. */
export interface Trust {
  readonly format: 1;
  readonly operator: { readonly publicKey: string; readonly jwt: string };
  readonly system: { readonly account: string; readonly jwt: string };
  readonly fabric: { readonly account: string; readonly jwt: string };
  readonly orgs: readonly TrustedOrg[];
  /** Public keys of the token signers, and nothing but those to be believed; `kid` is as in `serviceOfKid`. */
  readonly jwks: PublishedKeys;
  /** Since when and until when; a key that is not listed is in use without end. */
  readonly tokenKeys?: readonly TokenKeyTimes[];
}

/** A JSON Web Key Set (RFC 7517). */
export interface PublishedKeys {
  readonly keys: readonly PublishedKey[];
}

export interface PublishedKey extends JWK {
  /** Unix seconds from which on it is not believed, as far as that is known. */
  readonly exp?: number;
}

/** All in milliseconds since the Unix epoch. */
export interface TokenKeyTimes {
  readonly kid: string;
  /** It is published before, so that whoever verifies has it by then. */
  readonly activeFromMs: number;
  /** Tokens by it are refused from then on; it has a successor. */
  readonly believedUntilMs?: number;
}

/** Secret, for bootstrap only. */
export interface Secrets {
  readonly format: 1;
  readonly operator: KeySeeds;
  readonly system: KeySeeds;
  readonly fabric: KeySeeds;
  readonly orgs: readonly (Omit<TrustedOrg, 'account'> & { readonly keys: KeySeeds })[];
  /** 32 bytes in base64url, of which the keys of orgs follow; folders of before get it from `ensureKeys`. */
  readonly orgMaster?: string;
}

/** Secret, for the registry: signs the users of an org's nodes. */
export interface OrgSigning {
  readonly account: string;
  readonly signingSeed: string;
}

/** Secret, for the registry: makes and signs the account of any org. */
export interface OrgIssuer {
  readonly master: string;
  /** Signs the claims of accounts. */
  readonly operatorSigningSeed: string;
  /** Public key of the fabric's account. */
  readonly fabricAccount: string;
}

/** Where things are in a keys folder. */
export const keyFiles = {
  trust: (dir: string) => join(dir, 'trust.json'),
  secrets: (dir: string) => join(dir, 'secrets.json'),
  orgSigning: (dir: string) => join(dir, 'org-signing.json'),
  /** Of a service, or of `sys` or `bootstrap`. */
  natsCreds: (dir: string, user: string) => join(dir, 'nats', `${user}.creds`),
  tokens: (dir: string) => join(dir, 'tokens'),
  /** A service's first key has its name as `kid`. */
  token: (dir: string, kid: string) => join(dir, 'tokens', `${kid}.json`),
  firstApiKey: (dir: string) => join(dir, 'first-api-key'),
} as const;

/** Rejects failed_precondition KEYS_MISSING or KEYS_UNREADABLE, as all loaders here. */
export async function loadTrust(dir: string): Promise<Trust> {
  return readKeyFile<Trust>(keyFiles.trust(dir));
}

export async function loadSecrets(dir: string): Promise<Secrets> {
  return readKeyFile<Secrets>(keyFiles.secrets(dir));
}

/** The key of the first org's owner; undefined when the file was put away after its first use. */
export async function loadFirstApiKey(dir: string): Promise<string | undefined> {
  try {
    return (await readFile(keyFiles.firstApiKey(dir), 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export async function readKeyFile<T extends object>(file: string): Promise<T> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new FleetwireError('failed_precondition', 'KEYS_MISSING', `the key file ${file} cannot be read`, {
      help: 'Make the keys with `fleetwire bootstrap`, or name their folder in FLEETWIRE_KEYS_DIR.',
      details: { file },
      cause,
    });
  }
  try {
    const value = JSON.parse(text) as T & { format?: number };
    if (typeof value !== 'object' || value === null) throw new Error('not an object');
    if ((value.format ?? 1) !== 1) throw new Error(`format ${value.format} is from a later release`);
    return value;
  } catch (cause) {
    throw new FleetwireError('failed_precondition', 'KEYS_UNREADABLE', `the key file ${file} is damaged`, {
      help: 'Bring it back from a backup; keys cannot be made again for data that exists.',
      details: { file },
      cause,
    });
  }
}
