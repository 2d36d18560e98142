// Goal: what lists show of a policy is what files may hold; what does not fit is told all at once, by its path; options
// make the rule that they say.
// Method: round trips and faults through the parser; command lines through the grammar of `policy create`.

import { strict as assert } from 'node:assert';
import { Policy } from '@fleetwire/gen/access';
import { FleetwireError } from '@fleetwire/kernel';
import { Command } from 'commander';
import { describe, it } from 'mocha';
import { addPolicyCommands, policyOfOptions } from '../src/commands/policy.ts';
import { parsePolicy, policyDocument, ruleWords } from '../src/policy-document.ts';

const POLICY = Policy.fromPartial({
  id: 'p_0123456789abcdef',
  level: 'user',
  subject: 'u_0123456789abcdef',
  name: 'qa; "quoted"',
  description: 'two\nlines',
  priority: -5,
  disabled: true,
  version: 7,
  createdBy: 'u_1',
  createdAtMs: 1_700_000_000_000,
  updatedAtMs: 1_700_000_000_001,
  rules: [
    { agents: 'qa-*', canMessage: { patterns: ['lead'] }, canSpawn: { patterns: [] }, canBeSpawned: false },
    { agents: '*', allowedTools: { patterns: ['git', 'npm*'] }, maxSpawns: 0, rateLimitPerMinute: 60 },
  ],
});

const faults = (text: string) => {
  try {
    parsePolicy(text, 'x.json');
  } catch (error) {
    assert.ok(error instanceof FleetwireError && error.reason === 'INVALID_POLICY_FILE', String(error));
    return error.violations.map(({ field }) => field);
  }
  return assert.fail('it was taken');
};

describe('policies as documents', () => {
  it('are read back as they were shown; moments and author are the service’s', () => {
    const read = parsePolicy(JSON.stringify(policyDocument(POLICY)), 'x.json');
    assert.deepEqual(read, { ...POLICY, createdBy: '', createdAtMs: 0, updatedAtMs: 0 });
  });
  it('need a name and rules; all else has a default', () => {
    const read = parsePolicy('{ "name": "x", "rules": [{ "max_spawns": 2 }] }', 'x.json');
    assert.deepEqual(
      read,
      Policy.fromPartial({ name: 'x', level: 'org', rules: [{ agents: '*', maxSpawns: 2 }] }),
    );
  });
  it('tell all that does not fit, with its path', () => {
    assert.deepEqual(
      faults('{ "name": 1, "priority": "x", "rules": [{ "agents": "a", "max_spawns": 1.5 }] }'),
      ['name', 'priority', 'rules[0].max_spawns'],
    );
    assert.deepEqual(faults('{ "name": "x", "rules": [{ "can_mesage": ["lead"] }] }'), ['rules[0]']);
    assert.deepEqual(faults('[]'), ['policy']);
    assert.deepEqual(faults('{'), []);
  });
  it('put rules into words', () => {
    assert.deepEqual(POLICY.rules.map(ruleWords), [
      'qa-*: may message lead; may spawn nobody; may not be spawned',
      '*: may use git, npm*; at most 0 spawned; at most 60 messages a minute',
    ]);
  });
});

describe('a policy of options', () => {
  const given = async (...args: string[]) => {
    const program = new Command().exitOverride();
    let seen: Parameters<typeof policyOfOptions>[0] = {};
    addPolicyCommands(program, () => async (options) => {
      seen = options as typeof seen;
    });
    await program.parseAsync(['policy', 'create', ...args], { from: 'user' });
    return policyOfOptions(seen);
  };

  it('says what is given and nothing else', async () => {
    const args =
      '--name qa --priority -3 --agents qa-* --can-message lead,ops --can-spawn none --can-be-spawned no ' +
      '--max-spawns 0 --rate 60';
    const policy = await given(...args.split(' '));
    const rule = {
      agents: 'qa-*',
      canMessage: { patterns: ['lead', 'ops'] },
      canSpawn: { patterns: [] },
      canBeSpawned: false,
      maxSpawns: 0,
      rateLimitPerMinute: 60,
    };
    assert.deepEqual(policy, Policy.fromPartial({ name: 'qa', level: 'org', priority: -3, rules: [rule] }));
  });
  it('is for all agents and the whole org without more', async () => {
    const policy = await given('--name', 'x', '--allow-tools', 'git');
    assert.deepEqual([policy.level, policy.subject, policy.rules[0]!.agents], ['org', '', '*']);
    assert.equal(policy.rules[0]!.canMessage, undefined);
  });
});
