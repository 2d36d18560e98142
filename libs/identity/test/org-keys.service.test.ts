// Goal: any org has keys that follow from one secret, always the same, whoever derives them; older folders get there.
// Method: derive and read back with the library of NATS; age a folder to what releases before made, and bring it on.

import { strict as assert } from 'node:assert';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { newId } from '@fleetwire/kernel';
import { tempFolder } from '@fleetwire/testkit';
import { fromSeed } from '@nats-io/nkeys';
import { describe, it } from 'mocha';
import {
  createNodeKey,
  ensureKeys,
  keyFiles,
  loadOrgKeys,
  loadTrust,
  mintNodeUser,
  signingOfOrg,
} from '../src/index.ts';
import { accountSeed } from '../src/nkey-seed.ts';
import { derivedOrgSeeds } from '../src/org-keys.ts';

const SERVICES = ['org', 'registry'];
const MASTER = Buffer.alloc(32, 7).toString('base64url');
/** Of a master secret that nobody uses. */
const PINNED = {
  seed: 'SAANUCHJJECM5IKIH5GHHXIUE4FHVWOCMDZ7GSSF3RL6FU2KQ2K2ERP4XQ',
  signingSeed: 'SAAHWVKOQHOOZTJILAEJOAYDICNSBUI3C5PDXXJUUQFJCCD7WOEB2C6T5E',
};
const read = (file: string) => JSON.parse(readFileSync(file, 'utf8'));
const write = (file: string, value: unknown) => writeFileSync(file, JSON.stringify(value));

/** As a release made it that knew neither a master secret nor the operator's token key; its orgs' keys were random. */
function age(dir: string): void {
  const { orgMaster: _, ...secrets } = read(keyFiles.secrets(dir));
  secrets.orgs[0].keys = derivedOrgSeeds(MASTER, 'of its own');
  write(keyFiles.secrets(dir), secrets);
  const { issuer: __, ...signing } = read(keyFiles.orgSigning(dir));
  write(keyFiles.orgSigning(dir), signing);
  const trust = read(keyFiles.trust(dir));
  trust.jwks.keys = trust.jwks.keys.filter((key: { kid: string }) => key.kid !== 'operator');
  write(keyFiles.trust(dir), trust);
  rmSync(keyFiles.token(dir, 'operator'));
}

describe('keys of orgs', () => {
  it('are seeds that the library of NATS takes for what they are', () => {
    for (let byte = 0; byte < 256; byte++) {
      const raw = Uint8Array.from({ length: 32 }, (_, i) => (byte * 31 + i * i) & 255);
      const text = accountSeed(raw);
      assert.match(text, /^SA[A-Z2-7]{56}$/);
      const pair = fromSeed(new TextEncoder().encode(text)) as ReturnType<typeof fromSeed> & {
        getRawSeed(): Uint8Array;
      };
      assert.deepEqual(pair.getRawSeed(), raw);
      assert.match(pair.getPublicKey(), /^A[A-Z2-7]{55}$/);
    }
    assert.throws(() => accountSeed(new Uint8Array(31)), RangeError);
  });

  it('follow from the master secret, the purpose and the org, and from nothing else', () => {
    // Written down: other seeds would shut every node of every org out.
    assert.deepEqual(derivedOrgSeeds(MASTER, 'o_1'), PINNED);
    const all = [MASTER, Buffer.alloc(32, 8).toString('base64url')].flatMap((master) =>
      ['o_1', 'o_2'].flatMap((org) => Object.values(derivedOrgSeeds(master, org))),
    );
    assert.equal(new Set(all).size, all.length);
  });

  it('sign for an org that no file names', async () => {
    await using folder = tempFolder();
    const trust = await ensureKeys(folder.path, { services: SERVICES });
    const keys = await loadOrgKeys(folder.path);
    const org = newId('org');
    assert.equal(keys.own.has(org), false);
    const signing = signingOfOrg(keys, org)!;
    assert.deepEqual(signingOfOrg(await loadOrgKeys(folder.path), org), signing);
    const { publicKey } = createNodeKey();
    const node = { node: 'n_1', publicKey, partition: 0, shard: 0, lifetimeMs: 60_000 };
    assert.ok((await mintNodeUser({ signing, org, ...node })).jwt);
    const first = trust.orgs[0]!;
    assert.deepEqual(
      signingOfOrg({ ...keys, own: new Map() }, first.id),
      keys.own.get(first.id),
      'a registry whose file is older than an org comes to the same keys',
    );
  });

  it('are added to a folder of before, whose orgs keep theirs, by two at once alike', async () => {
    await using folder = tempFolder();
    const dir = folder.path;
    await ensureKeys(dir, { services: SERVICES });
    age(dir);
    const before = await loadOrgKeys(dir);
    assert.equal(before.issuer, undefined);
    assert.equal(signingOfOrg(before, 'o_new'), undefined);
    const [{ seed }, id] = [read(keyFiles.secrets(dir)).orgs[0].keys, read(keyFiles.secrets(dir)).orgs[0].id];
    const make = () => ensureKeys(dir, { services: SERVICES });
    await Promise.all([make(), make()]);
    const after = await loadOrgKeys(dir);
    assert.equal(after.issuer?.fabricAccount, (await loadTrust(dir)).fabric.account);
    assert.equal(after.issuer?.master, read(keyFiles.secrets(dir)).orgMaster);
    const own = fromSeed(new TextEncoder().encode(seed)).getPublicKey();
    assert.equal(after.own.get(id)?.account, own);
    assert.equal(signingOfOrg(after, id)?.account, own, 'not the derived ones');
    assert.ok(signingOfOrg(after, 'o_new'));
    assert.ok((await loadTrust(dir)).jwks.keys.some(({ kid }) => kid === 'operator'));
    const held = readFileSync(keyFiles.orgSigning(dir), 'utf8');
    await make();
    assert.equal(readFileSync(keyFiles.orgSigning(dir), 'utf8'), held);
  });

  it('are found by releases that only look an org up', async () => {
    await using folder = tempFolder();
    const trust = await ensureKeys(folder.path, { services: SERVICES });
    const plain = new Map(Object.entries(read(keyFiles.orgSigning(folder.path))));
    const { id } = trust.orgs[0]!;
    assert.deepEqual(plain.get(id), (await loadOrgKeys(folder.path)).own.get(id));
    assert.deepEqual([...(await loadOrgKeys(folder.path)).own.keys()], [id]);
  });
});
