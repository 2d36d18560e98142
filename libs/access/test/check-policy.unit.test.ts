// Goal: a policy is kept only when it means something, and all that is wrong with it is said at once.
// Method: one fine policy, and one change to it at a time.

import { strict as assert } from 'node:assert';
import type { Policy, PolicyRule } from '@fleetwire/gen/access';
import { describe, it } from 'mocha';
import { checkPolicy } from '../src/index.ts';
import { list, policy, rule } from './sample-org.ts';

const say = rule('*', { canMessage: list('*') });
const fine = (of: Partial<Policy> = {}) => policy('pol_1', [say], of);
const fields = (found: Policy) => checkPolicy(found).map(({ field }) => field);
const withRule = (of: Partial<PolicyRule>) => policy('pol_1', [rule('*', { maxSpawns: 1, ...of })]);

describe('checkPolicy', () => {
  it('takes what is within all bounds', () => {
    const good: Policy[] = [
      fine(),
      fine({ level: 'user', subject: 'usr_1' }),
      fine({ level: 'workspace', subject: 'wsp_1' }),
      fine({ level: 'repo', subject: 'rep_1', disabled: true }),
      fine({ name: 'n'.repeat(100), description: `"'; drop table x; --\r\n🚀${'d'.repeat(1900)}` }),
      fine({ name: 'Größe 🚀' }),
      fine({ priority: -1000 }),
      fine({ priority: 1000 }),
      fine({ rules: Array.from({ length: 100 }, () => say) }),
      withRule({ agents: 'Ab-9*?', canSpawn: list(), canMessage: list('x'.repeat(100)), maxSpawns: 0 }),
      withRule({ allowedTools: list('mcp__git.push:v2/*', 'Größe?', '🚀') }),
      withRule({ canSpawn: { patterns: Array.from({ length: 100 }, () => '*') } }),
      policy('pol_1', [rule('*', { canBeSpawned: false })]),
      policy('pol_1', [rule('*', { rateLimitPerMinute: 1 })]),
      policy('pol_1', [rule('*', { allowedTools: list() })]),
    ];
    for (const found of good) assert.deepEqual(checkPolicy(found), []);
  });

  const table: [what: string, found: Policy, field: string][] = [
    ['an unknown level', fine({ level: 'galaxy' }), 'policy.level'],
    ['no level', fine({ level: '' }), 'policy.level'],
    ['an inherited word as level', fine({ level: 'constructor', subject: 'x' }), 'policy.level'],
    ['a subject at the level org', fine({ subject: 'usr_1' }), 'policy.subject'],
    ['no subject below', fine({ level: 'repo' }), 'policy.subject'],
    ['no name', fine({ name: '' }), 'policy.name'],
    ['a blank name', fine({ name: '  ' }), 'policy.name'],
    ['a long name', fine({ name: 'n'.repeat(101) }), 'policy.name'],
    ['a name of two lines', fine({ name: 'a\nb' }), 'policy.name'],
    ['a name with half a character', fine({ name: 'a\ud800' }), 'policy.name'],
    ['a long description', fine({ description: 'd'.repeat(2001) }), 'policy.description'],
    ['NUL in the description', fine({ description: 'a\0b' }), 'policy.description'],
    ['too low a priority', fine({ priority: -1001 }), 'policy.priority'],
    ['too high a priority', fine({ priority: 1001 }), 'policy.priority'],
    ['half a priority', fine({ priority: 0.5 }), 'policy.priority'],
    ['no rules', fine({ rules: [] }), 'policy.rules'],
    ['too many rules', fine({ rules: Array.from({ length: 101 }, () => say) }), 'policy.rules'],
    ['a rule for nobody', withRule({ agents: '' }), 'policy.rules[0].agents'],
    ['a long pattern', withRule({ agents: 'x'.repeat(101) }), 'policy.rules[0].agents'],
    ['a pattern no name could match', withRule({ agents: 'a_b' }), 'policy.rules[0].agents'],
    ['a pattern with a line break at its end', withRule({ agents: 'a\n' }), 'policy.rules[0].agents'],
    ['letters that fold to others', withRule({ agents: 'İ' }), 'policy.rules[0].agents'],
    [
      'too many patterns',
      withRule({ canSpawn: { patterns: Array.from({ length: 101 }, () => '*') } }),
      'policy.rules[0].can_spawn.patterns',
    ],
    ['an empty pattern', withRule({ canSpawn: list('*', '') }), 'policy.rules[0].can_spawn.patterns[1]'],
    ['a bad name pattern', withRule({ canMessage: list('a b') }), 'policy.rules[0].can_message.patterns[0]'],
    [
      'a space in a tool',
      withRule({ allowedTools: list('a b') }),
      'policy.rules[0].allowed_tools.patterns[0]',
    ],
    [
      'a bell in a tool',
      withRule({ allowedTools: list('a\u0007') }),
      'policy.rules[0].allowed_tools.patterns[0]',
    ],
    [
      'a long tool',
      withRule({ allowedTools: list('x'.repeat(101)) }),
      'policy.rules[0].allowed_tools.patterns[0]',
    ],
    ['a rule that says nothing', policy('pol_1', [say, rule('*')]), 'policy.rules[1]'],
    ['no messages at all', withRule({ rateLimitPerMinute: 0 }), 'policy.rules[0].rate_limit_per_minute'],
  ];
  for (const [what, found, field] of table) {
    it(`refuses ${what}`, () => assert.deepEqual(fields(found), [field]));
  }

  it('says how to forbid all messages', () => {
    const [violation] = checkPolicy(withRule({ rateLimitPerMinute: 0 }));
    assert.match(violation!.description, /can_message to an empty list/);
  });

  it('says all at once', () => {
    const rules = [rule('', { canSpawn: list('a b', 'ok', '') }), rule('*')];
    assert.deepEqual(fields(policy('', rules, { level: 'user', name: '', priority: 9999 })), [
      'policy.subject',
      'policy.name',
      'policy.priority',
      'policy.rules[0].agents',
      'policy.rules[0].can_spawn.patterns[0]',
      'policy.rules[0].can_spawn.patterns[2]',
      'policy.rules[1]',
    ]);
  });

  it('looks at no more than may be there', () => {
    const patterns = Array.from({ length: 10_000 }, () => '');
    const rules = Array.from({ length: 10_000 }, () => rule('*'));
    assert.equal(checkPolicy(withRule({ canSpawn: { patterns } })).length, 101);
    assert.equal(checkPolicy(fine({ rules })).length, 101);
  });
});
