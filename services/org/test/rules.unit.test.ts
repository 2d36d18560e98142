/**
 * Goal: the rules of scopes, roles, keys and join tokens, at their edges. Method: each rule with the values just inside and
 * outside.
 */

import assert from 'node:assert/strict';
import { type Caller, createNodeKey, newApiKey } from '@fleetwire/identity';
import type { FleetwireError } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { checkExpiry, checkKeyLife, checkKeyName, checkKeyText, keyPrefix } from '../src/domain/api-keys.ts';
import { grantOf, refusalByToken } from '../src/domain/authorize.ts';
import { checkPublicKey, checkTtl, refusal } from '../src/domain/join-tokens.ts';
import { type Operation, ROLES, type Role } from '../src/domain/permissions.ts';
import {
  checkGrantedRole,
  FIRST_KEY_SCOPES,
  removalRefusal,
  scopesInForce,
  successor,
} from '../src/domain/roles.ts';
import { checkScopes, SCOPES } from '../src/domain/scopes.ts';
import { lifetimeMs } from '../src/handlers/exchange-key.ts';

const reasonOf = (work: () => unknown): string => {
  try {
    work();
    return 'none';
  } catch (error) {
    return (error as FleetwireError).reason;
  }
};
const user = (...scopes: string[]): Caller => ({
  kind: 'user',
  subject: 'u_1',
  org: 'o_1',
  scopes,
  key: '',
  issuedAtMs: 0,
});
const service = (subject: string): Caller => ({ ...user('service'), kind: 'service', subject, org: '' });

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

  it('in force are those of the key, as far as the role of today allows', () => {
    assert.deepEqual(scopesInForce(['admin'], 'owner'), [...SCOPES]);
    assert.deepEqual(scopesInForce(['admin'], 'admin'), [...SCOPES]);
    fc.assert(
      fc.property(fc.subarray([...SCOPES]), fc.constantFrom(...ROLES), (given, role) => {
        const found = scopesInForce(given, role);
        const asked = given.includes('admin') ? SCOPES : given;
        assert.deepEqual(
          found,
          SCOPES.filter((scope) => asked.includes(scope) && (role !== 'member' || scope !== 'admin')),
        );
      }),
    );
    for (const role of ROLES)
      assert.equal(scopesInForce(FIRST_KEY_SCOPES, role).includes('admin'), role !== 'member');
  });

  it('are asked of users only, and services by their name', () => {
    const by = (operation: Operation, caller: Caller) => refusalByToken(operation, caller)?.reason ?? 'none';
    assert.equal(by('createJoinToken', user('send')), 'SCOPE_MISSING');
    assert.equal(by('createJoinToken', user('node-join')), 'none');
    assert.equal(by('getOrg', user()), 'none');
    assert.equal(by('getOrg', { ...user('node'), kind: 'node' }), 'NOT_A_USER');
    assert.equal(by('getOrg', service('registry')), 'NOT_A_USER');
    assert.equal(by('getOrg', service('operator')), 'none');
    assert.equal(by('createInvite', service('operator')), 'NOT_A_USER');
    assert.equal(by('redeemJoinToken', service('registry')), 'none');
    assert.equal(by('redeemJoinToken', service('router')), 'SERVICE_ONLY');
    assert.equal(by('redeemJoinToken', { ...user('admin'), subject: 'registry' }), 'SERVICE_ONLY');
    assert.equal(by('setLimits', { ...user('admin'), subject: 'operator' }), 'SERVICE_ONLY');
    assert.equal(by('listPlans', user()), 'none');
  });
});

describe('roles', () => {
  const of = (userId: string, role: string, joinedAtMs = 1) => ({ userId, role, joinedAtMs });

  it('grant what the table says, and nothing to who is no member', () => {
    const of = (operation: Operation, role?: Role) => {
      const grant = grantOf(operation, role);
      return typeof grant === 'string' ? grant : grant.reason;
    };
    assert.equal(of('deleteOrg', 'owner'), 'yes');
    assert.equal(of('deleteOrg', 'admin'), 'ROLE_TOO_LOW');
    assert.equal(of('updateWorkspace', 'member'), 'own');
    assert.equal(of('getOrg'), 'NOT_A_MEMBER');
    assert.equal(of('listPlans'), 'yes');
  });

  it('are granted below the owner only', () => {
    assert.deepEqual([checkGrantedRole('admin'), checkGrantedRole('member')], ['admin', 'member']);
    for (const role of ['owner', '', 'Admin', 'root'])
      assert.equal(
        reasonOf(() => checkGrantedRole(role)),
        'INVALID_ROLE',
        role,
      );
  });

  it('hand an org on to the admin who joined first, by id when two did', () => {
    const boss = of('u_boss', 'owner');
    const others = [
      of('u_c', 'member', 0),
      of('u_b', 'admin', 2),
      of('u_a', 'admin', 2),
      of('u_d', 'admin', 3),
    ];
    assert.equal(successor(boss, others)?.userId, 'u_a');
    assert.equal(successor(of('u_b', 'admin'), others), undefined);
    assert.equal(
      reasonOf(() => successor(boss, [of('u_c', 'member')])),
      'NO_ADMIN_TO_PROMOTE',
    );
    assert.equal(removalRefusal(boss, 'u_a')?.reason, 'OWNER_CANNOT_BE_REMOVED');
    assert.equal(removalRefusal(of('u_a', 'admin'), 'u_a')?.reason, 'LEAVE_INSTEAD');
    assert.equal(removalRefusal(of('u_a', 'admin'), 'u_b'), undefined);
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
    const token = { usedBy: null, expiresAtMs: 0, revokedAtMs: null, byMember: true };
    const reason = (usedBy: string | null, expiresAtMs: number, more: object = {}) =>
      refusal({ ...token, usedBy, expiresAtMs, ...more }, 'UMINE', 1000)?.reason;
    assert.equal(reason('UMINE', 0), undefined);
    assert.equal(reason('UMINE', 0, { byMember: false }), 'OWNER_DEPARTED');
    assert.equal(reason(null, 2000, { revokedAtMs: 900 }), 'JOIN_TOKEN_REVOKED');
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
