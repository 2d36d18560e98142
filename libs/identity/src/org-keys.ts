/** The keys of an org's account: its own where there are any, else derived, so that an org needs no file of its own. */

import { hkdfSync } from 'node:crypto';
import type { KeySeeds } from './accounts.ts';
import { publicKeyOf } from './accounts.ts';
import { accountSeed } from './nkey-seed.ts';
import type { OrgIssuer, OrgSigning, Secrets } from './trust.ts';
import { keyFiles, readKeyFile } from './trust.ts';

/** What is needed to sign for orgs: those that have keys of their own, and whatever other org there may be. */
export interface OrgKeys {
  /** By org id: only the orgs with keys of their own. */
  readonly own: ReadonlyMap<string, OrgSigning>;
  /** Undefined in a folder that bootstrap has not seen since orgs are made at run time. */
  readonly issuer: OrgIssuer | undefined;
}

/** Beside the org ids, none of which looks like it: releases before it look org ids up and do not see it. */
const ISSUER = 'issuer';

/** From org-signing.json. Rejects failed_precondition KEYS_MISSING or KEYS_UNREADABLE. */
export async function loadOrgKeys(dir: string): Promise<OrgKeys> {
  const file = await readKeyFile<Record<string, OrgSigning>>(keyFiles.orgSigning(dir));
  const { [ISSUER]: issuer, ...own } = file as Record<string, OrgSigning> & { [ISSUER]?: OrgIssuer };
  return { own: new Map(Object.entries(own)), issuer };
}

/** What org-signing.json says, from the secrets that it follows from. */
export function orgSigningFile(secrets: Secrets): object {
  const own = secrets.orgs.map(({ id, keys }) => [id, signingOfSeeds(keys)]);
  const { orgMaster: master } = secrets;
  return {
    ...Object.fromEntries(own),
    ...(master === undefined ? {} : { [ISSUER]: { master, ...accountIssuer(secrets) } }),
  };
}

export function accountIssuer(secrets: Secrets): Omit<OrgIssuer, 'master'> {
  return {
    operatorSigningSeed: secrets.operator.signingSeed,
    fabricAccount: publicKeyOf(secrets.fabric.seed),
  };
}

/** Always the same for the same org; undefined when it has no keys of its own and none can be derived. */
export function signingOfOrg(keys: OrgKeys, org: string): OrgSigning | undefined {
  const { own, issuer } = keys;
  return own.get(org) ?? (issuer && signingOfSeeds(derivedOrgSeeds(issuer.master, org)));
}

/** HKDF-SHA256 (RFC 5869) of the master secret, the purpose and the org's id being the info. */
export function derivedOrgSeeds(master: string, org: string): KeySeeds {
  const seed = (purpose: string) =>
    accountSeed(
      new Uint8Array(
        hkdfSync('sha256', Buffer.from(master, 'base64url'), '', `fleetwire ${purpose} ${org}`, 32),
      ),
    );
  return { seed: seed('org account'), signingSeed: seed('org signing') };
}

export const signingOfSeeds = (seeds: KeySeeds): OrgSigning => ({
  account: publicKeyOf(seeds.seed),
  signingSeed: seeds.signingSeed,
});
