// Goal: the keys folder is made once, whole, private, and nothing in it is ever replaced by something that does not fit.
// Method: make it in temporary folders, stop half-way by removing files, make it again, and compare.

import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FleetwireError, isId } from '@fleetwire/kernel';
import { tempFolder } from '@fleetwire/testkit';
import { parseCreds } from '@nats-io/jwt';
import { describe, it } from 'mocha';
import { accountJwt } from '../src/accounts.ts';
import {
  createTokenSigner,
  createTokenVerifier,
  ensureKeys,
  hashSecret,
  isApiKey,
  keyFiles,
  loadFirstApiKey,
  loadOrgKeys,
  loadSecrets,
  loadTrust,
  newCreds,
  orgAccountJwt,
  REVOCATIONS_MAX,
  renewedOrgAccountJwt,
  revocationsIn,
  revokedForGood,
  revokingOrgAccountJwt,
  serviceRights,
} from '../src/index.ts';

const SERVICES = ['org', 'registry'];
const says = (reason: string) => (error: unknown) =>
  error instanceof FleetwireError && error.reason === reason;

/** Every file below `dir` with its text. */
function snapshot(dir: string): Record<string, string> {
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  return Object.fromEntries(
    entries.map((e) => [join(e.parentPath, e.name), readFileSync(join(e.parentPath, e.name), 'utf8')]),
  );
}

describe('keys folder', () => {
  it('is private and complete', async () => {
    await using folder = tempFolder();
    const dir = join(folder.path, 'keys');
    const trust = await ensureKeys(dir, { orgSlug: 'acme', ownerEmail: 'a@b.c', services: SERVICES });
    assert.equal(statSync(dir).mode & 0o777, 0o700);
    for (const file of Object.keys(snapshot(dir))) assert.equal(statSync(file).mode & 0o777, 0o600, file);
    assert.deepEqual(await loadTrust(dir), trust);
    const [org] = trust.orgs;
    assert.ok(isId('org', org!.id));
    assert.equal(org!.ownerEmail, 'a@b.c');
    assert.equal((await loadOrgKeys(dir)).own.get(org!.id)?.account, org!.account);
    const key = await loadFirstApiKey(dir);
    assert.ok(key !== undefined && isApiKey(key));
    assert.match(hashSecret(key), /^[0-9a-f]{64}$/);
    for (const user of [...SERVICES, 'sys', 'bootstrap']) assert.ok(statSync(keyFiles.natsCreds(dir, user)));
  });

  it('publishes no private key', async () => {
    await using folder = tempFolder();
    await ensureKeys(folder.path, { services: SERVICES });
    const text = readFileSync(keyFiles.trust(folder.path), 'utf8');
    assert.doesNotMatch(text, /"d":|"S[OAU][A-Z0-9]{56}"/);
  });

  it('stays as it is when made again', async () => {
    await using folder = tempFolder();
    await ensureKeys(folder.path, { orgSlug: 'acme', services: SERVICES });
    const before = snapshot(folder.path);
    await ensureKeys(folder.path, { orgSlug: 'acme', services: SERVICES });
    assert.deepEqual(snapshot(folder.path), before);
    rmSync(keyFiles.firstApiKey(folder.path));
    await ensureKeys(folder.path, { services: SERVICES });
    assert.equal(await loadFirstApiKey(folder.path), undefined);
  });

  it('narrows the credentials that an earlier release made, for the same user, and makes damaged ones anew', async () => {
    await using folder = tempFolder();
    await ensureKeys(folder.path, { services: SERVICES });
    const { fabric } = await loadSecrets(folder.path);
    const file = keyFiles.natsCreds(folder.path, 'registry');
    const wide = await newCreds('registry', fabric);
    writeFileSync(file, wide);
    await ensureKeys(folder.path, { services: SERVICES });
    const narrowed = readFileSync(file, 'utf8');
    const [before, after] = await Promise.all([wide, narrowed].map((text) => parseCreds(Buffer.from(text))));
    assert.equal(after!.key, before!.key);
    const { publish, subscribe } = serviceRights('registry');
    assert.deepEqual([before!.uc.nats.pub, after!.uc.nats.pub?.allow], [undefined, publish]);
    assert.deepEqual(after!.uc.nats.sub?.allow, subscribe);
    assert.equal(after!.uc.nats.resp, undefined);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    for (const wrong of ['{ half', await newCreds('registry', (await loadSecrets(folder.path)).system)]) {
      writeFileSync(file, wrong);
      await ensureKeys(folder.path, { services: SERVICES });
      const made = await parseCreds(readFileSync(file));
      assert.deepEqual([made.uc.iss, made.uc.nats.pub?.allow], [after!.uc.iss, publish]);
    }
  });

  it('grows by an org and by a service, and keeps the rest', async () => {
    await using folder = tempFolder();
    const first = await ensureKeys(folder.path, { orgSlug: 'one', services: SERVICES });
    const before = snapshot(folder.path);
    const second = await ensureKeys(folder.path, { orgSlug: 'two', services: [...SERVICES, 'gateway'] });
    assert.deepEqual(second.orgs[0], first.orgs[0]);
    assert.equal(second.orgs[1]?.slug, 'two');
    const kids = second.jwks.keys.map((key) => key.kid);
    assert.deepEqual(kids, [...SERVICES, 'operator', 'gateway']);
    const after = snapshot(folder.path);
    for (const [file, text] of Object.entries(before))
      if (!/(trust|secrets|org-signing)\.json$/.test(file)) assert.equal(after[file], text, file);
  });

  it('is completed after a stop at any point', async () => {
    await using folder = tempFolder();
    const trust = await ensureKeys(folder.path, { orgSlug: 'acme', services: SERVICES });
    const whole = Object.keys(snapshot(folder.path)).filter((file) => !file.endsWith('secrets.json'));
    for (const file of whole) {
      // Before trust.json is there, anything else may be missing.
      rmSync(keyFiles.trust(folder.path), { force: true });
      rmSync(file, { force: true });
      const again = await ensureKeys(folder.path, { orgSlug: 'acme', services: SERVICES });
      assert.deepEqual(again.orgs, trust.orgs);
      assert.equal(again.fabric.account, trust.fabric.account);
      assert.deepEqual(Object.keys(snapshot(folder.path)).length, whole.length + 1, file);
    }
  });

  it('refuses what cannot be made again', async () => {
    for (const lost of [keyFiles.secrets, (dir: string) => keyFiles.token(dir, 'org')]) {
      await using folder = tempFolder();
      await ensureKeys(folder.path, { services: SERVICES });
      rmSync(lost(folder.path));
      await assert.rejects(ensureKeys(folder.path, { services: SERVICES }), says('KEYS_INCOMPLETE'));
    }
    await using folder = tempFolder();
    await ensureKeys(folder.path, { services: SERVICES });
    writeFileSync(keyFiles.secrets(folder.path), '{ half');
    await assert.rejects(ensureKeys(folder.path, { services: SERVICES }), says('KEYS_UNREADABLE'));
    await using other = tempFolder();
    await ensureKeys(other.path, { services: SERVICES });
    writeFileSync(keyFiles.secrets(folder.path), readFileSync(keyFiles.secrets(other.path)));
    await assert.rejects(ensureKeys(folder.path, { services: SERVICES }), says('KEYS_MIXED'));
  });

  it('gives one and the same result to two that make it at once', async () => {
    await using folder = tempFolder();
    const make = () => ensureKeys(folder.path, { orgSlug: 'acme', services: SERVICES });
    const [a, b] = await Promise.all([make(), make()]);
    assert.deepEqual(a.orgs, b.orgs);
    assert.deepEqual(a.jwks, b.jwks);
  });

  it('says what is missing where there are no keys', async () => {
    await using folder = tempFolder();
    await assert.rejects(loadTrust(folder.path), says('KEYS_MISSING'));
  });

  it('renews an org account only when it says something else, and keeps its revocations', async () => {
    await using folder = tempFolder();
    const trust = await ensureKeys(folder.path, { services: SERVICES });
    const { own, issuer } = await loadOrgKeys(folder.path);
    const { id } = trust.orgs[0]!;
    const org = { id, ...own.get(id)! };
    const revoked = { UA: 1_700_000_000 };
    const held = await orgAccountJwt(issuer!, org, revoked);
    assert.equal(await renewedOrgAccountJwt(issuer!, org, held), undefined);
    const old = await accountJwt('old', org.account, { revocations: revoked }, issuer!.operatorSigningSeed);
    const renewed = await renewedOrgAccountJwt(issuer!, org, old);
    assert.deepEqual(revocationsIn(renewed!), revoked);
    assert.ok(await renewedOrgAccountJwt(issuer!, org, undefined));
  });

  it('revokes also where there are too many already: of all, the oldest go', async () => {
    await using folder = tempFolder();
    const trust = await ensureKeys(folder.path, { services: SERVICES });
    const { own, issuer } = await loadOrgKeys(folder.path);
    const { id } = trust.orgs[0]!;
    const org = { id, ...own.get(id)! };
    const nowS = 1_790_000_000;
    const many = Array.from({ length: REVOCATIONS_MAX }, (_, i) => [`U${i}`, revokedForGood(nowS - i)]);
    const held = await orgAccountJwt(issuer!, org, Object.fromEntries(many));
    const jwt = await revokingOrgAccountJwt(issuer!, org, held, { UNEW: nowS + 1 });
    assert.ok(jwt !== undefined, 'the servers do not refuse it yet');
    const revoked = revocationsIn(jwt);
    assert.deepEqual([revoked['UNEW'], revoked[`U${REVOCATIONS_MAX - 1}`]], [nowS + 1, undefined]);
    assert.equal(Object.keys(revoked).length, REVOCATIONS_MAX);
  });

  it('holds signing keys that its trust verifies', async () => {
    await using folder = tempFolder();
    const trust = await ensureKeys(folder.path, { services: SERVICES });
    const signer = await createTokenSigner(folder.path, 'org');
    const { token } = await signer.sign({ sub: 'u_1', org: 'o_1', scopes: ['send'], lifetimeMs: 60_000 });
    const caller = await createTokenVerifier(trust.jwks).verify(token);
    assert.deepEqual([caller.kind, caller.subject, caller.org], ['user', 'u_1', 'o_1']);
  });
});
