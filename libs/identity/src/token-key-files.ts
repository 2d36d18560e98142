/** The private halves of token keys, a file each; the public half is what goes into trust.json. */

import { readdir } from 'node:fs/promises';
import type { JWK } from 'jose';
import { exportJWK, generateKeyPair } from 'jose';
import { exists, jsonText, writeOnce } from './key-files.ts';
import { kidOf, numberOfKid, serviceOfKid } from './token-keys.ts';
import { keyFiles, readKeyFile } from './trust.ts';

/** Who speaks for the whole fabric: a token key like a service's, but no NATS credentials. */
export const OPERATOR = 'operator';

export const hasTokenKey = (dir: string, kid: string): Promise<boolean> => exists(keyFiles.token(dir, kid));

/** Makes the key unless its file is there, and says whether it did; the public half of what is there then. */
export async function ensureTokenKey(dir: string, kid: string): Promise<{ made: boolean; publicKey: JWK }> {
  const file = keyFiles.token(dir, kid);
  let made = false;
  if (!(await exists(file))) {
    const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
    const jwk = { ...(await exportJWK(privateKey)), kid, alg: 'EdDSA', use: 'sig' };
    made = await writeOnce(file, jsonText(jwk));
  }
  const { d: _, ...publicKey } = await readKeyFile<JWK>(file);
  return { made, publicKey };
}

/** Ids of the keys of a service whose files are there, first made first. */
export async function tokenKeyFiles(dir: string, service: string): Promise<string[]> {
  const kids = (await readdir(keyFiles.tokens(dir)))
    .map((name) => /^([a-z0-9-]+(?:\.[1-9]\d{0,5})?)\.json$/.exec(name)?.[1])
    .filter((kid) => kid !== undefined && serviceOfKid(kid) === service);
  return kids
    .map((kid) => numberOfKid(kid!))
    .sort((a, b) => a - b)
    .map((number) => kidOf(service, number));
}
