/** Making the keys folder: everything follows from secrets.json, which is written first; trust.json closes the work. */

import { hkdfSync, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { FleetwireError, newId } from '@fleetwire/kernel';
import type { Account } from '@nats-io/jwt';
import { createAccount, createOperator } from '@nats-io/nkeys';
import type { JWK } from 'jose';
import type { KeySeeds } from './accounts.ts';
import {
  accountJwt,
  fabricAccountClaims,
  operatorJwt,
  publicKeyOf,
  saysAlready,
  systemAccountClaims,
} from './accounts.ts';
import { newApiKey } from './api-keys.ts';
import { exists, jsonText, makeKeyFolder, replace, writeOnce } from './key-files.ts';
import { derivedOrgSeeds, orgSigningFile } from './org-keys.ts';
import { newCreds, renewedCreds } from './service-creds.ts';
import { serviceRights } from './service-users.ts';
import { ensureTokenKey, hasTokenKey, OPERATOR, tokenKeyFiles } from './token-key-files.ts';
import { keysOfService, timesOf } from './token-keys.ts';
import type { Secrets, Trust, TrustedOrg } from './trust.ts';
import { keyFiles, loadSecrets, loadTrust } from './trust.ts';

export interface EnsureKeysOptions {
  /** An org of this slug is added when there is none; undefined with an empty folder: `default`. */
  readonly orgSlug?: string;
  readonly orgName?: string;
  readonly ownerEmail?: string;
  /** Who gets NATS credentials in the fabric's account and a token key; the operator gets a token key besides. */
  readonly services: readonly string[];
}

const DEFAULT_SLUG = 'default';

/**
 * Makes what is missing and leaves what is there, so that it can be called at every start and after a crash half-way.
 * Rejects failed_precondition KEYS_INCOMPLETE when something is gone that cannot be made again.
 */
export async function ensureKeys(dir: string, o: EnsureKeysOptions): Promise<Trust> {
  for (const folder of [dir, `${dir}/nats`, `${dir}/tokens`]) await makeKeyFolder(folder);
  const before = await trustOf(dir);
  const secrets = await ensureSecrets(dir, o, before);
  for (const service of [...o.services, 'bootstrap']) await ensureCreds(dir, service, secrets.fabric);
  await ensureCreds(dir, 'sys', secrets.system);
  const keys = await ensureTokenKeys(dir, [...o.services, OPERATOR], before);
  if (before === undefined) await writeOnce(keyFiles.firstApiKey(dir), `${newApiKey()}\n`);
  await ensureText(keyFiles.orgSigning(dir), jsonText(orgSigningFile(secrets)));
  const trust = await makeTrust(secrets, keys, before);
  if (JSON.stringify(trust) === JSON.stringify(before)) return trust;
  // A key that was dropped meanwhile must not come back with what was read before.
  if (JSON.stringify(await trustOf(dir)) !== JSON.stringify(before)) return ensureKeys(dir, o);
  await replace(keyFiles.trust(dir), jsonText(trust));
  return trust;
}

async function trustOf(dir: string): Promise<Trust | undefined> {
  return (await exists(keyFiles.trust(dir))) ? loadTrust(dir) : undefined;
}

async function ensureSecrets(dir: string, o: EnsureKeysOptions, before: Trust | undefined): Promise<Secrets> {
  const file = keyFiles.secrets(dir);
  if (!(await exists(file))) {
    if (before !== undefined) throw incomplete(file);
    const orgMaster = randomBytes(32).toString('base64url');
    const fresh: Secrets = {
      format: 1,
      operator: newSeeds(createOperator),
      system: newSeeds(createAccount),
      fabric: newSeeds(createAccount),
      orgs: [newOrg(o.orgSlug ?? DEFAULT_SLUG, o, orgMaster)],
      orgMaster,
    };
    await writeOnce(file, jsonText(fresh));
  }
  const held = await loadSecrets(dir);
  const orgMaster = held.orgMaster ?? masterOfBefore(held);
  const { orgSlug: slug, ownerEmail: _, ...more } = o;
  const known = slug === undefined || held.orgs.some((org) => org.slug === slug);
  const orgs = known ? held.orgs : [...held.orgs, newOrg(slug, more, orgMaster)];
  const secrets = { ...held, orgs, orgMaster };
  if (JSON.stringify(secrets) !== JSON.stringify(held)) await replace(file, jsonText(secrets));
  return secrets;
}

/** Of a folder that has none yet: it follows from the operator's seed, so that two who add it at once agree. */
function masterOfBefore({ operator }: Secrets): string {
  return Buffer.from(hkdfSync('sha256', operator.seed, '', 'fleetwire org master', 32)).toString('base64url');
}

function newOrg(
  slug: string,
  o: Omit<EnsureKeysOptions, 'services'>,
  master: string,
): Secrets['orgs'][number] {
  if (!/^[a-z0-9][a-z0-9-]{0,49}$/.test(slug)) {
    throw new FleetwireError('invalid_argument', 'INVALID_ORG_SLUG', `"${slug}" is not a usable org slug`, {
      help: 'Use 1 to 50 lowercase letters, digits and hyphens.',
    });
  }
  const owner = o.ownerEmail === undefined ? {} : { ownerEmail: o.ownerEmail };
  const id = newId('org');
  // Derived like those of any other org, so that a registry with an older org-signing.json comes to the same.
  return { id, slug, name: o.orgName ?? slug, ...owner, keys: derivedOrgSeeds(master, id) };
}

function newSeeds(create: typeof createAccount): KeySeeds {
  const seed = () => new TextDecoder().decode(create().getSeed());
  return { seed: seed(), signingSeed: seed() };
}

/** One that an earlier release made with other rights is made anew for the same user. */
async function ensureCreds(dir: string, name: string, account: KeySeeds): Promise<void> {
  const file = keyFiles.natsCreds(dir, name);
  const rights = serviceRights(name);
  if (await exists(file)) {
    const text = await renewedCreds(await readFile(file, 'utf8'), name, account, rights);
    if (text !== undefined) await replace(file, text);
  } else await writeOnce(file, await newCreds(name, account, rights));
}

/** Whatever is in trust stays as it is there: keys that were rotated in, and the lack of those that were dropped. */
async function ensureTokenKeys(
  dir: string,
  services: readonly string[],
  before: Trust | undefined,
): Promise<JWK[]> {
  const keys = [...(before?.jwks.keys ?? [])];
  for (const service of services) {
    const trusted = before === undefined ? [] : keysOfService(before, service);
    for (const { kid } of trusted) {
      // A key that has a successor is only believed; it may be put away.
      if (timesOf(before!, kid).believedUntilMs !== undefined || (await hasTokenKey(dir, kid!))) continue;
      throw incomplete(keyFiles.token(dir, kid!));
    }
    if (trusted.length > 0) continue;
    const there = before === undefined ? await tokenKeyFiles(dir, service) : [];
    for (const kid of there.length > 0 ? there : [service])
      keys.push((await ensureTokenKey(dir, kid)).publicKey);
  }
  return keys;
}

async function makeTrust(secrets: Secrets, keys: readonly JWK[], before?: Trust): Promise<Trust> {
  const { operator, system, fabric } = secrets;
  const systemAccount = publicKeyOf(system.seed);
  const publicKey = publicKeyOf(operator.seed);
  if (before !== undefined && before.operator.publicKey !== publicKey) {
    throw new FleetwireError(
      'failed_precondition',
      'KEYS_MIXED',
      'secrets.json and trust.json do not belong together',
      {
        help: 'Bring both back from the same backup.',
      },
    );
  }
  const jwtOf = async (name: string, seeds: KeySeeds, claims: Partial<Account>, held: string | undefined) =>
    held !== undefined && saysAlready(held, claims)
      ? held
      : accountJwt(name, publicKeyOf(seeds.seed), claims, operator.signingSeed);
  return {
    format: 1,
    operator: { publicKey, jwt: before?.operator.jwt ?? (await operatorJwt(operator, systemAccount)) },
    system: {
      account: systemAccount,
      jwt: await jwtOf('SYS', system, systemAccountClaims(system), before?.system.jwt),
    },
    fabric: {
      account: publicKeyOf(fabric.seed),
      jwt: await jwtOf('FABRIC', fabric, fabricAccountClaims(fabric), before?.fabric.jwt),
    },
    orgs: secrets.orgs.map(
      ({ keys: own, ...org }): TrustedOrg => ({ ...org, account: publicKeyOf(own.seed) }),
    ),
    jwks: { keys },
    ...(before?.tokenKeys === undefined ? {} : { tokenKeys: before.tokenKeys }),
  };
}

async function ensureText(file: string, text: string): Promise<void> {
  if (!(await writeOnce(file, text))) await replace(file, text);
}

function incomplete(file: string): FleetwireError {
  return new FleetwireError(
    'failed_precondition',
    'KEYS_INCOMPLETE',
    `${file} is gone and cannot be made again`,
    {
      help: 'Bring it back from a backup; a new one would not fit the keys in use.',
      details: { file },
    },
  );
}
