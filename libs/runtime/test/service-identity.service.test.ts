// Goal: a running service follows the keys folder: it signs with the key in force, stops believing one that was dropped,
// and shows the trust of now. Method: its identity over a real folder in which keys are rotated, in real time.

import { strict as assert } from 'node:assert';
import { createTokenSigner, ensureKeys, rotateTokenKey } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import { eventually, tempFolder } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { openIdentity } from '../src/service-identity.ts';

const USER = { sub: 'u_1', org: 'o_1', scopes: ['send'], lifetimeMs: 60_000 };

describe('the identity of a service', function () {
  this.timeout(60_000);

  it('follows keys that are rotated, without a restart', async () => {
    await using folder = tempFolder('identity');
    await ensureKeys(folder.path, { services: ['org', 'router'] });
    const [org, router] = await Promise.all(
      ['org', 'router'].map((name) => openIdentity(folder.path, name, Date.now)),
    );
    try {
      const leaked = (await org!.tokens.sign(USER)).token;
      await router!.verifier.verify(leaked);
      const { kid } = await rotateTokenKey(folder.path, 'org', { immediately: true });
      const eager = await createTokenSigner(folder.path, 'org');
      await router!.verifier.verify((await eager.sign(USER)).token);
      await assert.rejects(router!.verifier.verify(leaked), { reason: 'TOKEN_INVALID' });
      await eventually(async () => {
        const { token } = await org!.tokens.sign(USER);
        return (await router!.verifier.verify(token)).subject;
      });
      await eventually(() => router!.trust.jwks.keys.some((key) => key.kid === kid));
    } finally {
      for (const one of [org, router]) one!.close();
    }
  });

  it('shows the trust of now also to those who only look', async () => {
    await using folder = tempFolder('identity');
    await ensureKeys(folder.path, { services: ['org'] });
    const identity = await openIdentity(folder.path, 'org', Date.now);
    try {
      await rotateTokenKey(folder.path, 'org');
      await eventually(() => identity.trust.tokenKeys?.length === 2);
    } finally {
      identity.close();
    }
  });

  it('refuses what it is told to, from then on', async () => {
    await using folder = tempFolder('identity');
    await ensureKeys(folder.path, { services: ['org'] });
    const identity = await openIdentity(folder.path, 'org', Date.now);
    try {
      const { token } = await identity.tokens.sign({ ...USER, key: 'k_1' });
      await identity.verifier.verify(token);
      identity.refuse(
        ({ key }) => new FleetwireError('unauthenticated', 'TOKEN_REVOKED', `${key} is revoked`),
      );
      await assert.rejects(identity.verifier.verify(token), { reason: 'TOKEN_REVOKED', message: /k_1/ });
      identity.refuse(() => undefined);
      await identity.verifier.verify(token);
    } finally {
      identity.close();
    }
  });
});
