// Goal: a token is worth exactly what its issuer may say, for as long as it says, and nothing when touched.
// Method: sign with real keys of several services under a clock of our own; verify, tamper, overstep.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { FleetwireError } from '@fleetwire/kernel';
import { tempFolder } from '@fleetwire/testkit';
import { importJWK, SignJWT } from 'jose';
import { after, before, describe, it } from 'mocha';
import type { Caller, TokenClaims, TokenSigner, TokenVerifier, Trust } from '../src/index.ts';
import { createTokenSigner, createTokenVerifier, ensureKeys, keyFiles, OPERATOR } from '../src/index.ts';

const folder = tempFolder();
let trust: Trust;
let now = Date.UTC(2030, 0, 1);
let verifier: TokenVerifier;
const signers: Record<string, TokenSigner> = {};

before(async () => {
  const services = ['org', 'registry', 'router'];
  trust = await ensureKeys(folder.path, { services });
  for (const service of services) signers[service] = await createTokenSigner(folder.path, service, () => now);
  verifier = createTokenVerifier(trust.jwks, { nowMs: () => now, rememberedMax: 2 });
});
after(() => folder[Symbol.asyncDispose]());

const USER: TokenClaims = { sub: 'u_1', org: 'o_1', scopes: ['send'], lifetimeMs: 60_000 };
const NODE: TokenClaims = { ...USER, sub: 'n_1', scopes: ['node'] };
const own = (name: string): TokenClaims => ({ ...USER, sub: name, org: '', scopes: ['service'] });
const sign = async (service: string, claims: TokenClaims) => (await signers[service]!.sign(claims)).token;
const rejects = (token: string, reason: string) =>
  assert.rejects(
    verifier.verify(token),
    (e) => e instanceof FleetwireError && e.kind === 'unauthenticated' && e.reason === reason,
  );

describe('tokens', () => {
  it('tell users, nodes and services apart', async () => {
    assert.equal((await verifier.verify(await sign('org', USER))).kind, 'user');
    assert.equal((await verifier.verify(await sign('registry', NODE))).kind, 'node');
    assert.deepEqual(await verifier.verify(await signers['router']!.serviceToken()), {
      kind: 'service',
      subject: 'router',
      org: '',
      scopes: ['service'],
      key: '',
      issuedAtMs: now,
    });
  });

  it('say which API key they were made of, and when, to the millisecond', async () => {
    const caller = await verifier.verify(await sign('org', { ...USER, key: 'k_1', issuedAtMs: now - 1234 }));
    assert.deepEqual([caller.key, caller.issuedAtMs], ['k_1', now - 1234]);
    const { key, issuedAtMs } = await verifier.verify(await sign('org', USER));
    assert.deepEqual([key, issuedAtMs], ['', now]);
  });

  it('of releases before are as old as their whole second says', async () => {
    const key = await importJWK(
      JSON.parse(readFileSync(keyFiles.token(folder.path, 'org'), 'utf8')),
      'EdDSA',
    );
    const old = (claims: object) =>
      new SignJWT({ org: 'o_1', scopes: ['send'], ...claims })
        .setProtectedHeader({ alg: 'EdDSA', kid: 'org' })
        .setIssuer('org')
        .setSubject('u_1')
        .setAudience('fleetwire')
        .setIssuedAt(Math.floor(now / 1000))
        .setExpirationTime(Math.floor(now / 1000) + 60)
        .sign(key);
    assert.equal((await verifier.verify(await old({}))).issuedAtMs, Math.floor(now / 1000) * 1000);
    await rejects(await old({ ims: 'long ago' }), 'TOKEN_INVALID');
    await rejects(await old({ key: 7 }), 'TOKEN_INVALID');
  });

  it('of the operator are those of a service', async () => {
    const operator = await createTokenSigner(folder.path, OPERATOR, () => now);
    const { kind, subject } = await verifier.verify(await operator.serviceToken());
    assert.deepEqual([kind, subject], ['service', 'operator']);
    await rejects((await operator.sign(USER)).token, 'TOKEN_INVALID');
  });

  it('that are good are refused when told so, also once they are remembered', async () => {
    const revoked = new Set<string>();
    const refused = ({ key }: Caller) =>
      revoked.has(key) ? new FleetwireError('unauthenticated', 'TOKEN_REVOKED', 'revoked') : undefined;
    const strict = createTokenVerifier(trust.jwks, { nowMs: () => now, refused });
    const token = await sign('org', { ...USER, key: 'k_1' });
    await strict.verify(token);
    revoked.add('k_1');
    await assert.rejects(strict.verify(token), { reason: 'TOKEN_REVOKED' });
    await strict.verify(await sign('org', { ...USER, key: 'k_2' }));
    revoked.clear();
    await strict.verify(token);
  });

  it('are refused from a service that may not issue them', async () => {
    const overstepped: [string, TokenClaims][] = [
      ['router', USER],
      ['registry', USER],
      ['org', NODE],
      ['router', NODE],
      ['router', own('org')],
      ['org', { ...own('org'), org: 'o_1' }],
      ['org', { ...USER, scopes: ['send', 'service'] }],
      ['org', { ...USER, scopes: ['send', 'node'] }],
      ['registry', { ...NODE, scopes: ['node', 'send'] }],
      ['org', { ...USER, org: '' }],
    ];
    for (const [service, claims] of overstepped) await rejects(await sign(service, claims), 'TOKEN_INVALID');
  });

  it('are refused when the key is of another service than the issuer that they name', async () => {
    const file = keyFiles.token(folder.path, 'registry');
    const key = await importJWK(JSON.parse(readFileSync(file, 'utf8')), 'EdDSA');
    const by = (issuer: string, claims: TokenClaims) =>
      new SignJWT({ org: claims.org, scopes: [...claims.scopes] })
        .setProtectedHeader({ alg: 'EdDSA', kid: 'registry' })
        .setIssuer(issuer)
        .setSubject(claims.sub)
        .setAudience('fleetwire')
        .setIssuedAt(Math.floor(now / 1000))
        .setExpirationTime(Math.floor(now / 1000) + 60)
        .sign(key);
    assert.equal((await verifier.verify(await by('registry', NODE))).kind, 'node');
    await rejects(await by('org', USER), 'TOKEN_INVALID');
    for (const name of ['org', 'operator']) await rejects(await by(name, own(name)), 'TOKEN_INVALID');
  });

  it('end on time, give or take the skew, also when they were good before', async () => {
    const { token, expiresAtMs } = await signers['org']!.sign(USER);
    assert.equal(expiresAtMs, now + 60_000);
    await verifier.verify(token);
    now += 64_000;
    await verifier.verify(token);
    now += 2_000;
    await rejects(token, 'TOKEN_EXPIRED');
  });

  it('are refused when touched, foreign, unsigned or nonsense', async () => {
    const token = await sign('org', USER);
    const [head, body, signature] = token.split('.') as [string, string, string];
    const other = JSON.parse(Buffer.from(body, 'base64url').toString());
    const changed = Buffer.from(JSON.stringify({ ...other, org: 'o_2' })).toString('base64url');
    const none = Buffer.from(JSON.stringify({ alg: 'none', kid: 'org' })).toString('base64url');
    const hmac = await new SignJWT(other)
      .setProtectedHeader({ alg: 'HS256', kid: 'org' })
      .sign(new TextEncoder().encode(String(trust.jwks.keys[0]!.x)));
    const bad = [`${head}.${changed}.${signature}`, `${none}.${body}.`, hmac, '', 'x.y.z', `${token}x`];
    for (const one of bad) await rejects(one, 'TOKEN_INVALID');
    await using strange = tempFolder();
    await ensureKeys(strange.path, { services: ['org'] });
    const stranger = await createTokenSigner(strange.path, 'org', () => now);
    await rejects((await stranger.sign(USER)).token, 'TOKEN_INVALID');
  });

  it('are not issued for longer than a limit', async () => {
    for (const lifetimeMs of [0, -1, Number.NaN, 49 * 3600 * 1000])
      await assert.rejects(
        sign('org', { ...USER, lifetimeMs }),
        (e) => (e as FleetwireError).reason === 'TOKEN_LIFETIME',
      );
  });

  it("renew a service's own in time", async () => {
    const first = await signers['registry']!.serviceToken();
    assert.equal(await signers['registry']!.serviceToken(), first);
    now += 9 * 60_000;
    const second = await signers['registry']!.serviceToken();
    assert.notEqual(second, first);
    await verifier.verify(second);
  });
});
