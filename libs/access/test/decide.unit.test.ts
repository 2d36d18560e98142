// Goal: each matter is decided by the rule that should, and the answer says so in words.
// Method: small orgs and questions by hand.

import { strict as assert } from 'node:assert';
import { describe, it } from 'mocha';
import { compileOrg, type Question } from '../src/index.ts';
import { assignment, list, org, policy, rule } from './sample-org.ts';

const message = (actor: string, target: string): Question => ({ action: 'message', actor, target });
const spawn = (actor: string, target: string, spawned = 0): Question => ({
  action: 'spawn',
  actor,
  target,
  spawned,
});

describe('a decision', () => {
  it('allows by default what no policy speaks of', () => {
    const access = compileOrg(org({ policies: [policy('pol_1', [rule('*', { maxSpawns: 3 })])] }));
    for (const action of ['message', 'tool', 'release'] as const) {
      const found = access.decide({ action, actor: 'alice', target: 'bob' });
      assert.deepEqual(
        [found.allowed, found.reason, found.source, found.matchedPolicy, found.matchedRule],
        [true, 'ALLOWED_BY_DEFAULT', 'default', '', -1],
      );
      assert.match(found.explanation, /^No policy says which .*\.$/);
    }
  });

  it('explains in one sentence what decided', () => {
    const rules = [
      rule('other', { canMessage: list() }),
      rule('build-*', {
        canMessage: list('CI-*', 'ops'),
        canSpawn: list(),
        allowedTools: list('a', 'b', 'c', 'd', 'e', 'f', 'g'),
      }),
      rule('*', { canBeSpawned: false }),
      rule('*', { maxSpawns: 2, canSpawn: list('*') }),
    ];
    const access = compileOrg(org({ policies: [policy('pol_1', rules, { name: 'Build' })] }));
    const table: [Question, string, string][] = [
      [
        message('build-1', 'ci-7'),
        'ALLOWED_BY_POLICY',
        'lets agents named "build-*" message agents named "CI-*"',
      ],
      [
        message('Build-1', 'bob'),
        'MESSAGE_DENIED',
        'lets agents named "build-*" message only agents named "CI-*" or "ops"',
      ],
      [spawn('build-1', 'x'), 'SPAWN_DENIED', 'lets agents named "build-*" spawn no agent'],
      [
        { action: 'release', actor: 'build-1', target: 'x' },
        'RELEASE_DENIED',
        'lets agents named "build-*" release no agent',
      ],
      [
        { action: 'tool', actor: 'build-1', target: 'A' },
        'TOOL_DENIED',
        'lets agents named "build-*" use only tools named "a", "b", "c", "d", "e" or 2 more',
      ],
      [
        { action: 'tool', actor: 'build-1', target: 'a' },
        'ALLOWED_BY_POLICY',
        'lets agents named "build-*" use tools named "a"',
      ],
      [spawn('alice', 'x', 1), 'NOT_SPAWNABLE', 'says that agents named "*" may not be spawned'],
      [
        spawn('alice', 'x', 2),
        'SPAWN_LIMIT',
        'lets agents named "*" have at most 2 agents alive each that they have spawned',
      ],
    ];
    for (const [question, reason, says] of table) {
      const found = access.decide(question);
      assert.equal(found.reason, reason);
      assert.equal(found.explanation, `Rule ${found.matchedRule + 1} of the org policy "Build" ${says}.`);
    }
  });

  it('names the pattern that matched, also when another one did before', () => {
    const of = { canMessage: list('ops', 'ci-*') };
    const access = compileOrg(org({ policies: [policy('pol_1', [rule('*', of)])] }));
    for (const [target, pattern] of [
      ['ops', 'ops'],
      ['ci-1', 'ci-*'],
      ['OPS', 'ops'],
    ] as const)
      assert.ok(access.decide(message('a', target)).explanation.endsWith(`named "${pattern}".`));
  });

  it('comes from the higher priority, then from the level, then from the id', () => {
    const deny = [rule('*', { canMessage: list() })];
    const levels = [
      policy('pol_repo', deny, { level: 'repo', subject: 'rep_1' }),
      policy('pol_workspace', deny, { level: 'workspace', subject: 'wsp_1' }),
      policy('pol_user', deny, { level: 'user', subject: 'usr_1' }),
      policy('pol_org_b', deny),
      policy('pol_org_a', deny),
      policy('pol_low', deny, { priority: -1 }),
    ];
    const assignments = [assignment('alice', { repo: 'rep_1' })];
    const deciders: string[] = [];
    for (let policies = levels; policies.length > 0; ) {
      const found = compileOrg(org({ policies, assignments })).decide(message('alice', 'bob'));
      deciders.push(found.matchedPolicy);
      policies = policies.filter((one) => one.id !== found.matchedPolicy);
    }
    const byLevel = ['pol_org_a', 'pol_org_b', 'pol_user', 'pol_workspace', 'pol_repo'];
    assert.deepEqual(deciders, [...byLevel, 'pol_low']);
    const raised = levels.map((one) => (one.level === 'repo' ? { ...one, priority: 1 } : one));
    const first = compileOrg(org({ policies: raised, assignments })).decide(message('alice', 'bob'));
    assert.deepEqual([first.matchedPolicy, first.source], ['pol_repo', 'repo']);
  });

  it('goes by the assignment, unless the question names a user', () => {
    const policies = [
      policy('pol_u1', [rule('*', { canMessage: list() })], { level: 'user', subject: 'usr_1' }),
      policy('pol_u2', [rule('*', { canMessage: list('*') })], { level: 'user', subject: 'usr_2' }),
      policy('pol_s2', [rule('*', { canBeSpawned: false })], { level: 'user', subject: 'usr_2' }),
    ];
    const access = compileOrg(org({ policies, assignments: [assignment('Alice')] }));
    const decider = (q: Question) => access.decide(q).matchedPolicy;
    assert.equal(decider(message('alice', 'bob')), 'pol_u1');
    assert.equal(decider({ ...message('ALICE', 'bob'), actorUser: '' }), 'pol_u1');
    assert.equal(decider({ ...message('alice', 'bob'), actorUser: 'usr_2' }), 'pol_u2');
    assert.equal(decider(message('alice', 'bob')), 'pol_u1', 'as before, after another user was given');
    assert.equal(decider(message('bob', 'alice')), '', 'bob is nobody’s');
    assert.equal(decider(spawn('bob', 'new')), '');
    assert.equal(decider({ ...spawn('bob', 'new'), targetUser: 'usr_2' }), 'pol_s2');
  });

  it('to spawn is refused by the first of the three that refuses, and allowed by the first that spoke', () => {
    const decide = (of: Parameters<typeof rule>[1], spawned: number) =>
      compileOrg(org({ policies: [policy('pol_1', [rule('*', of)])] })).decide(spawn('a', 'b', spawned));
    const table: [Parameters<typeof rule>[1], number, string][] = [
      [{ canSpawn: list(), maxSpawns: 0, canBeSpawned: false }, 9, 'SPAWN_DENIED'],
      [{ canSpawn: list('*'), maxSpawns: 0, canBeSpawned: false }, 0, 'SPAWN_LIMIT'],
      [{ canSpawn: list('*'), maxSpawns: 3, canBeSpawned: false }, 2, 'NOT_SPAWNABLE'],
      [{ maxSpawns: 3 }, 3, 'SPAWN_LIMIT'],
      [{ maxSpawns: 3 }, Number.NaN, 'SPAWN_LIMIT'],
      [{ maxSpawns: 3 }, 2, 'ALLOWED_BY_POLICY'],
      [{ canBeSpawned: true }, 99, 'ALLOWED_BY_POLICY'],
      [{ canMessage: list() }, 99, 'ALLOWED_BY_DEFAULT'],
    ];
    for (const [of, spawned, reason] of table) assert.equal(decide(of, spawned).reason, reason);
  });

  it('about a closed org is no', () => {
    for (const status of ['deleting', 'deleted']) {
      const access = compileOrg(org({ status }));
      for (const action of ['message', 'tool', 'spawn', 'release'] as const) {
        const found = access.decide({ action, actor: 'a', target: 'b' });
        assert.deepEqual([found.allowed, found.reason, found.source], [false, 'ORG_CLOSED', 'org']);
      }
    }
  });

  it('cannot be changed by whoever gets it', () => {
    const access = compileOrg(org({ policies: [policy('pol_1', [rule('*', { canMessage: list('*') })])] }));
    for (const action of ['message', 'tool'] as const)
      assert.ok(Object.isFrozen(access.decide({ action, actor: 'a', target: 'b' })));
    assert.ok(Object.isFrozen(access.limitsFor({ name: 'a' })));
  });

  it('shows names of policies without what could move a terminal', () => {
    const policies = [policy('pol_1', [rule('*', { canMessage: list() })], { name: 'a\u001b[2J\nb' })];
    const found = compileOrg(org({ policies })).decide(message('a', 'b'));
    assert.ok(found.explanation.includes('"a\\u{1b}[2J\\u{a}b"'), found.explanation);
    assert.equal(found.matchedPolicyName, 'a\u001b[2J\nb');
  });
});
