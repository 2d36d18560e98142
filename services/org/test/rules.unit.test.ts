/** Goal: the rules of scopes, keys and join tokens, at their edges. Method: each rule with the values just inside and outside. */

import assert from 'node:assert/strict';
import { createNodeKey, newApiKey } from '@fleetwire/identity';
import type { FleetwireError } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { checkExpiry, checkKeyLife, checkKeyName, checkKeyText, keyPrefix } from '../src/domain/api-keys.ts';
import { checkPublicKey, checkTtl, refusal } from '../src/domain/join-tokens.ts';
import { checkScopes, effectiveScopes, requireScope, requireService, SCOPES } from '../src/domain/scopes.ts';
import { lifetimeMs } from '../src/handlers/exchange-key.ts';

const reasonOf = (work: () => unknown): string => {
  try {
    work();
    return 'none';
  } catch (error) {
    return (error as FleetwireError).reason;
  }
};
const user = (...scopes: string[]) => ({ kind: 'user', subject: 'u_1', org: 'o_1', scopes }) as const;

describe('scopes', () => {
  it('are known ones, in order, each once', () => {
    assert.deepEqual(checkScopes(['send', 'admin', 'send']), ['admin', 'send']);
    assert.equal(
      reasonOf(() => checkScopes(['send', 'fly'])),
      'UNKNOWN_SCOPE',
    );
    assert.equal(
      reasonOf(() => checkScopes([])),
      'NO_SCOPE',
    );
  });

  it('of an admin are all, of others what they were given', () => {
    assert.deepEqual(effectiveScopes(['admin']), [...SCOPES]);
    fc.assert(
      fc.property(fc.subarray(SCOPES.filter((s) => s !== 'admin')), (given) => {
        assert.deepEqual(effectiveScopes(given), given);
      }),
    );
  });

  it('are asked of users only, and services by their name', () => {
    assert.equal(
      reasonOf(() => requireScope(user('send'), 'node-join', 'admin')),
      'SCOPE_MISSING',
    );
    assert.equal(
      reasonOf(() => requireScope(user('node-join'), 'node-join', 'admin')),
      'none',
    );
    const node = { ...user('node'), kind: 'node' } as const;
    assert.equal(
      reasonOf(() => requireScope(node, 'admin')),
      'NOT_A_USER',
    );
    const service = { kind: 'service', subject: 'registry', org: '', scopes: ['service'] } as const;
    assert.equal(
      reasonOf(() => requireService(service, 'registry')),
      'none',
    );
    assert.equal(
      reasonOf(() => requireService({ ...service, subject: 'router' }, 'registry')),
      'SERVICE_ONLY',
    );
    assert.equal(
      reasonOf(() => requireService({ ...user('admin'), subject: 'registry' }, 'registry')),
      'SERVICE_ONLY',
    );
  });
});

describe('API keys', () => {
  it('are told from other texts before anything is looked up', () => {
    const key = newApiKey();
    assert.equal(
      reasonOf(() => checkKeyText(key)),
      'none',
    );
    for (const text of ['', 'fwk_', `${key}x`, key.replace('fwk', 'fwj'), `fwk_${'é'.repeat(43)}`])
      assert.equal(
        reasonOf(() => checkKeyText(text)),
        'API_KEY_INVALID',
        text,
      );
    assert.ok(key.startsWith(keyPrefix(key)) && keyPrefix(key).length === 8);
  });

  it('end at their moment, and revoked ones at once', () => {
    const life = { expiresAtMs: 1000, revokedAtMs: null };
    assert.equal(
      reasonOf(() => checkKeyLife(life, 999)),
      'none',
    );
    assert.equal(
      reasonOf(() => checkKeyLife(life, 1000)),
      'API_KEY_EXPIRED',
    );
    assert.equal(
      reasonOf(() => checkKeyLife({ ...life, revokedAtMs: 5 }, 999)),
      'API_KEY_REVOKED',
    );
    assert.equal(
      reasonOf(() => checkKeyLife({ expiresAtMs: null, revokedAtMs: null }, 1e15)),
      'none',
    );
  });

  it('give tokens that do not outlive them', () => {
    assert.equal(lifetimeMs(900_000, null, 0), 900_000);
    assert.equal(lifetimeMs(900_000, 60_000, 0), 60_000);
    assert.equal(lifetimeMs(900_000, 2_000_000, 0), 900_000);
  });

  it('have a printable name and an end in the future', () => {
    assert.equal(
      reasonOf(() => checkKeyName('a'.repeat(100))),
      'none',
    );
    for (const name of ['', 'a'.repeat(101), 'a\u001bb'])
      assert.equal(
        reasonOf(() => checkKeyName(name)),
        'INVALID_KEY_NAME',
      );
    assert.equal(checkExpiry(0, 1000), null);
    assert.equal(checkExpiry(1001, 1000), 1001);
    assert.equal(
      reasonOf(() => checkExpiry(1000, 1000)),
      'EXPIRY_IN_THE_PAST',
    );
  });
});

describe('join tokens', () => {
  it('live an hour unless told otherwise, a week at most', () => {
    assert.deepEqual([checkTtl(0), checkTtl(1), checkTtl(604_800)], [3600, 1, 604_800]);
    assert.equal(
      reasonOf(() => checkTtl(604_801)),
      'INVALID_TTL',
    );
  });

  it('are refused for a reason, except to the machine that spent them', () => {
    const reason = (usedBy: string | null, expiresAtMs: number) =>
      refusal({ usedBy, expiresAtMs }, 'UMINE', 1000)?.reason;
    assert.equal(reason('UMINE', 0), undefined);
    assert.equal(reason('UOTHER', 2000), 'JOIN_TOKEN_USED');
    assert.equal(reason(null, 1000), 'JOIN_TOKEN_EXPIRED');
  });

  it('are spent by NATS public user keys only', () => {
    const { publicKey } = createNodeKey();
    assert.equal(
      reasonOf(() => checkPublicKey(publicKey)),
      'none',
    );
    for (const key of ['', publicKey.slice(1), `A${publicKey.slice(1)}`, publicKey.toLowerCase()])
      assert.equal(
        reasonOf(() => checkPublicKey(key)),
        'INVALID_PUBLIC_KEY',
      );
  });
});
