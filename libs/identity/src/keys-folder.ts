/** Making the keys folder: everything follows from secrets.json, which is written first; trust.json closes the work. */

import { FleetwireError, newId } from '@fleetwire/kernel';
import type { Account } from '@nats-io/jwt';
import { Algorithms, encodeUser, fmtCreds } from '@nats-io/jwt';
import { createAccount, createOperator, createUser, fromPublic } from '@nats-io/nkeys';
import type { JWK } from 'jose';
import { exportJWK, generateKeyPair } from 'jose';
import type { KeySeeds } from './accounts.ts';
import {
  accountJwt,
  fabricAccountClaims,
  keyPair,
  operatorJwt,
  publicKeyOf,
  saysAlready,
  systemAccountClaims,
} from './accounts.ts';
import { newApiKey } from './api-keys.ts';
import { exists, makeKeyFolder, replace, writeOnce } from './key-files.ts';
import type { OrgSigning, Secrets, Trust, TrustedOrg } from './trust.ts';
import { keyFiles, loadSecrets, loadTrust, readKeyFile } from './trust.ts';

export interface EnsureKeysOptions {
  /** An org of this slug is added when there is none; undefined with an empty folder: `default`. */
  readonly orgSlug?: string;
  readonly orgName?: string;
  readonly ownerEmail?: string;
  /** Who gets NATS credentials in the fabric's account and a token key. */
  readonly services: readonly string[];
}

const DEFAULT_SLUG = 'default';
const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

/**
 * Makes what is missing and leaves what is there, so that it can be called at every start and after a crash half-way.
 * Rejects failed_precondition KEYS_INCOMPLETE when something is gone that cannot be made again.
 */
export async function ensureKeys(dir: string, o: EnsureKeysOptions): Promise<Trust> {
  for (const folder of [dir, `${dir}/nats`, `${dir}/tokens`]) await makeKeyFolder(folder);
  const before = (await exists(keyFiles.trust(dir))) ? await loadTrust(dir) : undefined;
  const secrets = await ensureSecrets(dir, o, before);
  for (const service of [...o.services, 'bootstrap']) await ensureCreds(dir, service, secrets.fabric);
  await ensureCreds(dir, 'sys', secrets.system);
  const keys = await ensureTokenKeys(dir, o.services, before);
  if (before === undefined) await writeOnce(keyFiles.firstApiKey(dir), `${newApiKey()}\n`);
  await ensureText(keyFiles.orgSigning(dir), json(orgSigning(secrets)));
  const trust = await makeTrust(secrets, keys, before);
  if (JSON.stringify(trust) !== JSON.stringify(before)) await replace(keyFiles.trust(dir), json(trust));
  return trust;
}

async function ensureSecrets(dir: string, o: EnsureKeysOptions, before: Trust | undefined): Promise<Secrets> {
  const file = keyFiles.secrets(dir);
  if (!(await exists(file))) {
    if (before !== undefined) throw incomplete(file);
    const first = newOrg(o.orgSlug ?? DEFAULT_SLUG, o);
    const fresh: Secrets = {
      format: 1,
      operator: newSeeds(createOperator),
      system: newSeeds(createAccount),
      fabric: newSeeds(createAccount),
      orgs: [first],
    };
    await writeOnce(file, json(fresh));
  }
  const secrets = await loadSecrets(dir);
  if (o.orgSlug === undefined || secrets.orgs.some((org) => org.slug === o.orgSlug)) return secrets;
  const { ownerEmail: _, ...more } = o;
  const grown = { ...secrets, orgs: [...secrets.orgs, newOrg(o.orgSlug, more)] };
  await replace(file, json(grown));
  return grown;
}

function newOrg(slug: string, o: Omit<EnsureKeysOptions, 'services'>): Secrets['orgs'][number] {
  if (!/^[a-z0-9][a-z0-9-]{0,49}$/.test(slug)) {
    throw new FleetwireError('invalid_argument', 'INVALID_ORG_SLUG', `"${slug}" is not a usable org slug`, {
      help: 'Use 1 to 50 lowercase letters, digits and hyphens.',
    });
  }
  const owner = o.ownerEmail === undefined ? {} : { ownerEmail: o.ownerEmail };
  return { id: newId('org'), slug, name: o.orgName ?? slug, ...owner, keys: newSeeds(createAccount) };
}

function newSeeds(create: typeof createAccount): KeySeeds {
  const seed = () => new TextDecoder().decode(create().getSeed());
  return { seed: seed(), signingSeed: seed() };
}

/** A user with all rights in its account, without end: for our own processes. */
async function ensureCreds(dir: string, name: string, account: KeySeeds): Promise<void> {
  const file = keyFiles.natsCreds(dir, name);
  if (await exists(file)) return;
  const user = createUser();
  const jwt = await encodeUser(
    name,
    user,
    fromPublic(publicKeyOf(account.seed)),
    {},
    {
      algorithm: Algorithms.v2,
      signer: keyPair(account.signingSeed),
    },
  );
  await writeOnce(file, new TextDecoder().decode(fmtCreds(jwt, user)));
}

async function ensureTokenKeys(
  dir: string,
  services: readonly string[],
  before: Trust | undefined,
): Promise<JWK[]> {
  const keys = new Map((before?.jwks.keys ?? []).map((key) => [key.kid, key]));
  for (const service of services) {
    const file = keyFiles.token(dir, service);
    if (!(await exists(file))) {
      if (keys.has(service)) throw incomplete(file);
      const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
      const jwk = await exportJWK(privateKey);
      await writeOnce(file, json({ ...jwk, kid: service, alg: 'EdDSA', use: 'sig' }));
    }
    const { d: _, ...publicKey } = await readKeyFile<JWK>(file);
    keys.set(service, publicKey);
  }
  return [...keys.values()];
}

function orgSigning(secrets: Secrets): Record<string, OrgSigning> {
  return Object.fromEntries(
    secrets.orgs.map(({ id, keys }) => [
      id,
      { account: publicKeyOf(keys.seed), signingSeed: keys.signingSeed },
    ]),
  );
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
    held !== undefined && saysAlready(held, claims) ? held : accountJwt(name, seeds, claims, operator);
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
