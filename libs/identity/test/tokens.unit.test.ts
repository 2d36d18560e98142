// Goal: a token is worth exactly what its issuer may say, for as long as it says, and nothing when touched.
// Method: sign with real keys of several services under a clock of our own; verify, tamper, overstep.

import { strict as assert } from 'node:assert';
import { FleetwireError } from '@fleetwire/kernel';
import { tempFolder } from '@fleetwire/testkit';
import { SignJWT } from 'jose';
import { after, before, describe, it } from 'mocha';
import type { TokenClaims, TokenSigner, TokenVerifier, Trust } from '../src/index.ts';
import { createTokenSigner, createTokenVerifier, ensureKeys } from '../src/index.ts';

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
    });
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
