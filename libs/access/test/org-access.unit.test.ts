// Goal: tokens, places and agents are refused exactly when the state says so, with an error that helps.
// Method: tables around each edge.

import { strict as assert } from 'node:assert';
import type { FleetwireError } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { compileOrg } from '../src/index.ts';
import { Recent } from '../src/recent.ts';
import { assignment, org, policy, rule } from './sample-org.ts';

const told = (error: FleetwireError | undefined) => error && [error.kind, error.reason];
const REVOKED = ['unauthenticated', 'TOKEN_REVOKED'];

describe('tokens', () => {
  const revocations = [
    { kind: 'user', subject: 'usr_1', issuedUntilMs: 1000 },
    { kind: 'user', subject: 'usr_1', issuedUntilMs: 500 },
    { kind: 'key', subject: 'key_1', issuedUntilMs: 2000 },
    { kind: 'user', subject: '', issuedUntilMs: 9000 },
    { kind: 'galaxy', subject: 'usr_2', issuedUntilMs: 9000 },
  ];
  const access = compileOrg(org({ revocations }));

  it('are refused up to the moment of a revocation of their user or key', () => {
    const table: [user: string, key: string, issuedAtMs: number, revoked: boolean][] = [
      ['usr_1', 'key_9', 1000, true],
      ['usr_1', 'key_9', 1001, false],
      ['usr_1', 'key_1', 2000, true],
      ['usr_2', 'key_1', 2000, true],
      ['usr_2', 'key_1', 2001, false],
      ['usr_2', 'key_2', 1, false],
      ['', '', 1, false],
      ['key_1', 'usr_1', 1, false],
      ['usr_1', 'key_9', Number.NaN, true],
      ['usr_2', 'key_2', Number.NaN, false],
    ];
    for (const [user, key, issuedAtMs, revoked] of table) {
      const error = access.revoked({ user, key, issuedAtMs });
      assert.deepEqual(told(error), revoked ? REVOKED : undefined, `${user} ${key} ${issuedAtMs}`);
      if (revoked) assert.match(error!.help!, /new token/);
    }
  });

  it('are all refused by a revocation of the org', () => {
    const all = compileOrg(org({ revocations: [{ kind: 'org', subject: '', issuedUntilMs: 1000 }] }));
    assert.deepEqual(told(all.revoked({ user: 'usr_9', key: '', issuedAtMs: 1000 })), REVOKED);
    assert.equal(all.revoked({ user: 'usr_9', key: '', issuedAtMs: 1001 }), undefined);
    const token = { user: 'usr_9', key: '', issuedAtMs: Number.NaN };
    assert.deepEqual(told(all.revoked(token)), REVOKED);
    assert.equal(compileOrg(org()).revoked(token), undefined);
  });

  it('of a closed org are refused however new they are', () => {
    for (const status of ['deleting', 'deleted']) {
      const error = compileOrg(org({ status })).revoked({ user: 'usr_1', key: 'key_1', issuedAtMs: 1e15 })!;
      assert.deepEqual(told(error), ['unauthenticated', 'ORG_CLOSED']);
      assert.match(error.message, new RegExp(status));
      assert.ok(error.help);
    }
  });
});

describe('admission', () => {
  const limits = { workspaces: 1, agents: 3, nodes: 1, members: 1 };

  it('ends where the limit is reached', () => {
    const free = compileOrg(org({ plan: 'free', limits }));
    assert.equal(free.admit('agent', 2), undefined);
    assert.deepEqual(told(free.admit('agent', 3)), ['resource_exhausted', 'PLAN_LIMIT']);
    assert.deepEqual(told(free.admit('agent', 4)), ['resource_exhausted', 'PLAN_LIMIT']);
    assert.equal(free.admit('node', 0), undefined);
    assert.ok(free.admit('node', 1));
    const none = compileOrg(org({ limits: { ...limits, nodes: 0 } }));
    assert.ok(none.admit('node', 0));
    for (const unlimited of [undefined, { ...limits, nodes: -1 }])
      assert.equal(compileOrg(org({ limits: unlimited })).admit('node', 1e9), undefined);
  });

  it('names the limit and the plan that lifts it', () => {
    const error = compileOrg(org({ plan: 'free', limits })).admit('node', 1)!;
    assert.deepEqual(error.details, { limit: 'nodes', value: '1', plan: 'free', lifted_by: 'pro' });
    assert.equal(
      error.message,
      'the plan free allows this org 1 node, and it has 1; the plan pro lifts this',
    );
    assert.equal(error.help, 'Change to the plan pro for more nodes, or remove one of the nodes.');
  });

  it('names no plan when none is higher', () => {
    const error = compileOrg(org({ plan: 'enterprise', limits })).admit('agent', 3)!;
    assert.deepEqual(error.details, { limit: 'agents', value: '3', plan: 'enterprise', lifted_by: '' });
    assert.match(error.message, /3 agents.*no other plan lifts this/);
    assert.match(error.help!, /ask the operator for a higher limit of agents/);
  });
});

describe('assignments', () => {
  const assignments = [assignment('alice'), assignment('bob', { suspended: true, workspace: 'wsp_2' })];
  const access = compileOrg(org({ assignments }));

  it('are found by the name in any case', () => {
    assert.equal(access.assignmentOf('ALICE')?.workspace, 'wsp_1');
    assert.equal(access.assignmentOf('carol'), undefined);
  });

  it('to a suspended workspace refuse the agent', () => {
    assert.equal(access.acceptsAgent('alice'), undefined);
    assert.equal(access.acceptsAgent('carol'), undefined);
    const error = access.acceptsAgent('Bob')!;
    assert.deepEqual(told(error), ['failed_precondition', 'WORKSPACE_SUSPENDED']);
    assert.deepEqual(error.details, { agent: 'bob', workspace: 'wsp_2' });
    assert.ok(error.help);
  });
});

describe('what is compiled', () => {
  it('says what it was compiled from', () => {
    const state = org({ version: 12 });
    const access = compileOrg(state);
    assert.equal(access.state, state);
    assert.deepEqual([access.status, access.version], ['active', 12]);
  });

  it('gives the limits of an agent with the policies that set them', () => {
    const policies = [
      policy('pol_1', [rule('ci-*', { rateLimitPerMinute: 60 })]),
      policy('pol_2', [rule('*', { rateLimitPerMinute: 5, maxSpawns: 0 })], {
        level: 'user',
        subject: 'usr_1',
      }),
    ];
    const access = compileOrg(org({ policies }));
    assert.deepEqual(access.limitsFor({ name: 'alice' }), {});
    assert.deepEqual(access.limitsFor({ name: 'CI-1', user: 'usr_1' }), {
      rateLimitPerMinute: { value: 60, source: 'org', policy: 'pol_1' },
      maxSpawns: { value: 0, source: 'user', policy: 'pol_2' },
    });
  });
});

describe('the memory of agents', () => {
  it('is bounded, keeps what was used last and never gives what was not put in', () => {
    const steps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 12 })), { maxLength: 200 });
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 9 }), steps, (max, taken) => {
        const recent = new Recent<string>(max);
        const all = new Map<string, string>();
        for (const [i, [isPut, n]] of taken.entries()) {
          const key = `k${n}`;
          if (isPut) {
            recent.set(key, `${i}`);
            all.set(key, `${i}`);
            assert.equal(recent.get(key), `${i}`);
          } else assert.ok([undefined, all.get(key)].includes(recent.get(key)));
          assert.ok(recent.size <= max);
        }
      }),
    );
  });

  it('does not forget what is asked for again and again', () => {
    const recent = new Recent<string>(4);
    recent.set('hot', 'x');
    for (let i = 0; i < 100; i++) {
      recent.set(`cold-${i}`, 'y');
      assert.equal(recent.get('hot'), 'x');
    }
  });
});
