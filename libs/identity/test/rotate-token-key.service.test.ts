// Goal: a service's token key is replaced while everybody goes on: nobody meets a key that he cannot have yet, a leaked
// one is worth nothing within seconds. Method: real folders, a signer and a verifier that live through it, clocks of
// our own for the time of day and for how long ago a look was.

import { strict as assert } from 'node:assert';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { FleetwireError } from '@fleetwire/kernel';
import { tempFolder } from '@fleetwire/testkit';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { describe, it } from 'mocha';
import {
  createLiveVerifier,
  createTokenSigner,
  createTokenVerifier,
  ensureKeys,
  keyFiles,
  LiveTrust,
  loadTrust,
  publishedKeys,
  rotateTokenKey,
} from '../src/index.ts';
import { ensureTokenKey } from '../src/token-key-files.ts';

const SERVICES = ['org', 'registry'];
const HOUR = 3_600_000;
const START = Date.UTC(2030, 0, 1);
const USER = { sub: 'u_1', org: 'o_1', scopes: ['send'], lifetimeMs: 24 * HOUR };
const invalid = { kind: 'unauthenticated', reason: 'TOKEN_INVALID' };

/** A folder of keys, a signer of org in one process and a verifier in another; `pass` lets time go by for all. */
async function world() {
  const folder = tempFolder();
  const dir = folder.path;
  await ensureKeys(dir, { services: SERVICES });
  const clock = { now: START, elapsed: 0 };
  const open = () => LiveTrust.open(dir, () => clock.elapsed);
  const nowMs = () => clock.now;
  const signer = await createTokenSigner(dir, 'org', nowMs, await open());
  const trust = await open();
  const verifier = createLiveVerifier(trust, { nowMs });
  return {
    dir,
    trust,
    verifier,
    signer,
    nowMs,
    pass(ms: number) {
      clock.now += ms;
      clock.elapsed += ms;
    },
    rotate: (o: Parameters<typeof rotateTokenKey>[2] = {}) =>
      rotateTokenKey(dir, 'org', { nowMs: clock.now, ...o }),
    token: async () => (await signer.sign(USER)).token,
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

const kidIn = (token: string) => decodeProtectedHeader(token).kid;
const kidsOf = async (dir: string) => (await loadTrust(dir)).jwks.keys.map(({ kid }) => kid);

describe('rotating a token key', () => {
  it('publishes it at once, signs with it later, and believes the former one until its last token has ended', async () => {
    await using w = await world();
    const first = await w.token();
    await w.verifier.verify(first);
    const rotation = await w.rotate();
    const until = START + 30_000 + 48 * HOUR;
    assert.deepEqual(rotation, {
      service: 'org',
      kid: 'org.2',
      activeFromMs: START + 30_000,
      former: [{ kid: 'org', believedUntilMs: until }],
    });
    assert.ok((await kidsOf(w.dir)).includes('org.2'));
    w.pass(29_999);
    assert.equal(kidIn(await w.token()), 'org');
    w.pass(1);
    const second = await w.token();
    assert.equal(kidIn(second), 'org.2');
    assert.equal(decodeJwt(second).iss, 'org');
    for (const token of [first, second]) assert.equal((await w.verifier.verify(token)).kind, 'user');
    const published = publishedKeys(await loadTrust(w.dir), w.nowMs());
    assert.equal(published.keys.find(({ kid }) => kid === 'org')?.exp, until / 1000);
    const nodes = createTokenVerifier(JSON.parse(JSON.stringify(published)), { nowMs: w.nowMs });
    for (const token of [first, second]) assert.equal((await nodes.verify(token)).kind, 'user');
  });

  it('ends the former key on time, for remembered tokens and in what was published before as well', async () => {
    await using w = await world();
    await w.rotate({ activateAfterMs: 60_000, overlapMs: HOUR });
    w.pass(2_000);
    const token = await w.token();
    assert.equal(decodeJwt(token).exp, (START + 60_000 + HOUR) / 1000, 'no longer than its key');
    const lasting = createTokenVerifier((await loadTrust(w.dir)).jwks, { nowMs: w.nowMs });
    const nodes = createTokenVerifier(publishedKeys(await loadTrust(w.dir), w.nowMs()), { nowMs: w.nowMs });
    w.pass(HOUR + 57_999);
    for (const each of [w.verifier, nodes]) await each.verify(token);
    w.pass(1);
    for (const each of [w.verifier, nodes])
      await assert.rejects(each.verify(token), { kind: 'unauthenticated' });
    assert.ok(await lasting.verify(token), 'it is the key that ended');
    assert.ok(!publishedKeys(await loadTrust(w.dir), w.nowMs()).keys.some(({ kid }) => kid === 'org'));
    await w.rotate();
    assert.deepEqual(new Set(await kidsOf(w.dir)), new Set(['operator', 'org.2', 'org.3', 'registry']));
    assert.equal(existsSync(keyFiles.token(w.dir, 'org')), false);
  });

  it('of a leaked key drops it within 5 s, remembered tokens included, and signs with the new one at once', async () => {
    await using w = await world();
    await w.rotate({ activateAfterMs: 0 });
    const leaked = [await w.token()];
    w.pass(10_000);
    leaked.push(await w.token());
    assert.deepEqual(leaked.map(kidIn), ['org', 'org.2']);
    for (const token of leaked) await w.verifier.verify(token);
    const { kid, former } = await w.rotate({ immediately: true });
    assert.equal(kid, 'org.3');
    assert.deepEqual(former, [{ kid: 'org' }, { kid: 'org.2' }]);
    w.pass(4_999);
    for (const token of leaked) await assert.rejects(w.verifier.verify(token), invalid);
    const token = await w.token();
    assert.equal(kidIn(token), 'org.3');
    await w.verifier.verify(token);
    assert.equal(existsSync(keyFiles.token(w.dir, 'org')), false);
  });

  it('signs at once after a leak even when the clock of whoever dropped it is ahead', async () => {
    await using w = await world();
    await w.rotate({ immediately: true, nowMs: START + HOUR });
    w.pass(2_000);
    assert.equal(kidIn(await w.token()), 'org.2');
  });

  it('is followed by a verifier that meets the new key, which looks at most once a second', async () => {
    await using w = await world();
    await w.verifier.verify(await w.token());
    await w.rotate({ immediately: true });
    const eager = await createTokenSigner(w.dir, 'org', w.nowMs);
    assert.ok(await w.verifier.verify((await eager.sign(USER)).token), 'no time has passed');
    await w.rotate({ immediately: true });
    const next = (await (await createTokenSigner(w.dir, 'org', w.nowMs)).sign(USER)).token;
    await assert.rejects(w.verifier.verify(next), invalid);
    w.pass(1_000);
    await w.verifier.verify(next);
  });

  it("renews a service's own token when its key changes", async () => {
    await using w = await world();
    const first = await w.signer.serviceToken();
    await w.rotate({ immediately: true });
    w.pass(4_000);
    const second = await w.signer.serviceToken();
    assert.equal(kidIn(second), 'org.2');
    await assert.rejects(w.verifier.verify(first), invalid);
    assert.equal((await w.verifier.verify(second)).subject, 'org');
  });

  it('goes on while trust.json is missing, damaged or half there', async () => {
    await using w = await world();
    const token = await w.token();
    const [file, away] = [keyFiles.trust(w.dir), `${keyFiles.trust(w.dir)}.away`];
    renameSync(file, away);
    const spoil = [() => undefined, () => writeFileSync(file, '{ half'), () => rmSync(file)];
    for (const each of spoil) {
      each();
      w.pass(10_000);
      await w.verifier.verify(token);
      await w.verifier.verify(await w.token());
    }
    renameSync(away, file);
    await w.rotate({ immediately: true });
    w.pass(10_000);
    await assert.rejects(w.verifier.verify(token), invalid);
  });

  it('waits with the new key while its private half is not there', async () => {
    await using w = await world();
    await w.rotate({ activateAfterMs: 0 });
    renameSync(keyFiles.token(w.dir, 'org.2'), `${keyFiles.token(w.dir, 'org.2')}.away`);
    w.pass(10_000);
    assert.equal(kidIn(await w.token()), 'org');
    renameSync(`${keyFiles.token(w.dir, 'org.2')}.away`, keyFiles.token(w.dir, 'org.2'));
    assert.equal(kidIn(await w.token()), 'org.2');
  });

  it('can be done again after a crash half-way, and by two at once', async () => {
    await using w = await world();
    const { publicKey } = await ensureTokenKey(w.dir, 'org.2');
    assert.equal((await w.rotate()).kid, 'org.2');
    const trusted = (await loadTrust(w.dir)).jwks.keys.find(({ kid }) => kid === 'org.2');
    assert.deepEqual(trusted, publicKey, 'the key that was made before is gone on with');
    await ensureTokenKey(w.dir, 'org.3');
    assert.equal((await w.rotate({ immediately: true })).kid, 'org.4', 'which may have leaked as well');
    const two = await Promise.all([w.rotate(), w.rotate()]);
    w.pass(60_000);
    await w.verifier.verify(await w.token());
    assert.equal(new Set((await kidsOf(w.dir)).filter((kid) => kid?.startsWith('org'))).size, 2, String(two));
  });

  it('stays as it is when the folder is made again, and never brings a dropped key back', async () => {
    await using w = await world();
    await w.rotate();
    await w.rotate({ immediately: true });
    const before = await loadTrust(w.dir);
    assert.deepEqual(await ensureKeys(w.dir, { services: SERVICES }), before);
    const grown = await ensureKeys(w.dir, { orgSlug: 'more', services: [...SERVICES, 'gateway'] });
    assert.deepEqual(grown.tokenKeys, before.tokenKeys);
    const kids = ['registry', 'operator', 'org.3', 'gateway'];
    assert.deepEqual(
      grown.jwks.keys.map(({ kid }) => kid),
      kids,
    );
    rmSync(keyFiles.trust(w.dir));
    const again = await ensureKeys(w.dir, { services: [...SERVICES, 'gateway'] });
    assert.deepEqual(new Set(again.jwks.keys.map(({ kid }) => kid)), new Set(kids));
    rmSync(keyFiles.token(w.dir, 'org.3'));
    await assert.rejects(ensureKeys(w.dir, { services: SERVICES }), { reason: 'KEYS_INCOMPLETE' });
  });

  it('lets nobody speak for another service, whatever his keys are called', async () => {
    await using w = await world();
    await rotateTokenKey(w.dir, 'registry', { immediately: true, nowMs: START });
    const registry = await createTokenSigner(w.dir, 'registry', w.nowMs);
    await assert.rejects(w.verifier.verify((await registry.sign(USER)).token), invalid);
    const node = await w.verifier.verify((await registry.sign({ ...USER, scopes: ['node'] })).token);
    assert.equal(node.kind, 'node');
  });

  it('is refused for a service that has none, and changes nothing then', async () => {
    await using w = await world();
    const before = readFileSync(keyFiles.trust(w.dir), 'utf8');
    for (const name of ['gateway', 'org.2', '../org', ''])
      await assert.rejects(
        rotateTokenKey(w.dir, name),
        (error) => error instanceof FleetwireError && error.reason === 'TOKEN_KEY_UNKNOWN',
      );
    assert.equal(readFileSync(keyFiles.trust(w.dir), 'utf8'), before);
  });
});
