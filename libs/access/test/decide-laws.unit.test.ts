// Goal: decisions follow the published order for every org, and nothing else.
// Method: random orgs and questions, against a plain second implementation and under changes that must not matter.

import { strict as assert } from 'node:assert';
import type { OrgState, Policy, PolicyRule } from '@fleetwire/gen/access';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { ACTIONS, compileOrg, type Decision, type Question } from '../src/index.ts';
import { firstRule, naiveDecision } from './naive-decision.ts';

const NAMES = ['alice', 'Alice', 'bob', 'ci-1', 'CI-2', 'ops'];
const USERS = ['usr_1', 'usr_2'];

const name = fc.constantFrom(...NAMES);
const user = fc.constantFrom(...USERS);
const pattern = fc.constantFrom('*', 'alice', 'ALICE', 'b?b', 'ci-*', 'Ci-?', '*o*', 'nobody');
const toolPattern = fc.constantFrom('*', 'git_*', 'Git_*', 'bash', '?ash');
const patterns = fc.array(pattern, { maxLength: 3 }).map((found) => ({ patterns: found }));

const rule: fc.Arbitrary<PolicyRule> = fc.record(
  {
    agents: pattern,
    allowedTools: fc.option(
      fc.array(toolPattern, { maxLength: 2 }).map((found) => ({ patterns: found })),
      { nil: undefined },
    ),
    canSpawn: fc.option(patterns, { nil: undefined }),
    canMessage: fc.option(patterns, { nil: undefined }),
    canBeSpawned: fc.boolean(),
    maxSpawns: fc.nat(3),
    rateLimitPerMinute: fc.integer({ min: 1, max: 60 }),
  },
  { requiredKeys: ['agents', 'allowedTools', 'canSpawn', 'canMessage'] },
);

const place = fc.oneof(
  fc.constant({ level: 'org', subject: '' }),
  fc.record({ level: fc.constant('user'), subject: fc.constantFrom('', ...USERS) }),
  fc.record({ level: fc.constant('workspace'), subject: fc.constantFrom('', 'wsp_1', 'wsp_2') }),
  fc.record({ level: fc.constant('repo'), subject: fc.constantFrom('', 'rep_1', 'rep_2') }),
  fc.constant({ level: 'galaxy', subject: 'usr_1' }),
);

const policies: fc.Arbitrary<Policy[]> = fc
  .array(fc.tuple(place, fc.integer({ min: -1, max: 1 }), fc.array(rule, { maxLength: 3 }), fc.boolean()), {
    maxLength: 8,
  })
  .map((rows) =>
    rows.map(([where, priority, rules, disabled], i) => ({
      ...where,
      id: `pol_${i}`,
      name: `p${i}`,
      description: '',
      priority,
      rules,
      disabled: disabled && i % 2 === 0,
      version: 1,
      createdBy: '',
      createdAtMs: 0,
      updatedAtMs: 0,
    })),
  );

const assignments = fc.uniqueArray(
  fc.record({
    agent: fc.constantFrom('alice', 'bob', 'ci-1', 'ci-2', 'ops'),
    workspace: fc.constantFrom('wsp_1', 'wsp_2'),
    repo: fc.constantFrom('', 'rep_1', 'rep_2'),
    user,
    suspended: fc.boolean(),
  }),
  { selector: (found) => found.agent },
);

const state: fc.Arbitrary<OrgState> = fc.record({
  org: fc.constant('org_1'),
  version: fc.nat(),
  status: fc.constantFrom('active', 'active', 'active', 'active', 'deleting', 'deleted'),
  slug: fc.constant('acme'),
  plan: fc.constant('team'),
  limits: fc.constant(undefined),
  policies,
  revocations: fc.constant([]),
  assignments,
  deletion: fc.constant(0),
  clearing: fc.constant(false),
  departed: fc.constant([]),
  history: fc.constant('full'),
  messageEvents: fc.constant('off'),
});

const question: fc.Arbitrary<Question> = fc
  .record(
    {
      action: fc.constantFrom(...ACTIONS),
      actor: name,
      agent: name,
      tool: fc.constantFrom('git_push', 'Git_push', 'bash', 'rm'),
      actorUser: fc.constantFrom('', ...USERS),
      targetUser: fc.constantFrom('', ...USERS),
      spawned: fc.nat(4),
    },
    { requiredKeys: ['action', 'actor', 'agent', 'tool'] },
  )
  .map(({ agent, tool, ...rest }) => ({ ...rest, target: rest.action === 'tool' ? tool : agent }));

const questions = fc.array(question, { minLength: 1, maxLength: 12 });
const shuffled = <T>(items: T[]) => fc.shuffledSubarray(items, { minLength: items.length });

function outcomeOf({ matchedPolicyName: _name, explanation: _explanation, ...rest }: Decision) {
  return rest;
}

describe('decisions', () => {
  it('are those of the plain implementation, whatever was asked before', () => {
    fc.assert(
      fc.property(state, questions, fc.integer({ min: 2, max: 8 }), (org, asked, agentsRememberedMax) => {
        const access = compileOrg(org, { agentsRememberedMax });
        // Twice, so that the second answer comes from memory.
        for (const q of [...asked, ...asked])
          assert.deepEqual(outcomeOf(access.decide(q)), naiveDecision(org, q));
      }),
      { numRuns: 2000 },
    );
  });

  it('name the policy, the rule and what the rule is for', () => {
    fc.assert(
      fc.property(state, question, (org, q) => {
        const found = compileOrg(org).decide(q);
        assert.match(found.explanation, /^[A-Z].*\.$/);
        if (found.matchedRule === -1) return;
        const decider = org.policies.find((policy) => policy.id === found.matchedPolicy)!;
        assert.equal(found.matchedPolicyName, decider.name);
        const { agents } = decider.rules[found.matchedRule]!;
        for (const part of [`Rule ${found.matchedRule + 1} `, `"${decider.name}"`, `"${agents}"`])
          assert.ok(found.explanation.includes(part), `${found.explanation} lacks ${part}`);
      }),
    );
  });

  it('do not depend on the order of policies and assignments in the state', () => {
    const both = state.chain((org) =>
      fc.tuple(fc.constant(org), shuffled(org.policies), shuffled(org.assignments)),
    );
    fc.assert(
      fc.property(both, questions, ([org, otherPolicies, otherAssignments], asked) => {
        const one = compileOrg(org);
        const other = compileOrg({ ...org, policies: otherPolicies, assignments: otherAssignments });
        for (const q of asked) assert.deepEqual(other.decide(q), one.decide(q));
      }),
    );
  });

  it('do not change with policies that are disabled, or with rules that say nothing', () => {
    fc.assert(
      fc.property(state, policies, questions, (org, more, asked) => {
        const silent = { agents: '*', allowedTools: undefined, canSpawn: undefined, canMessage: undefined };
        const disabled = more.map((found) => ({ ...found, id: `x${found.id}`, priority: 9, disabled: true }));
        const mute = { ...more[0], id: 'pol_mute', level: 'org', priority: 10, rules: [silent] } as Policy;
        const added = more.length === 0 ? disabled : [...disabled, { ...mute, disabled: false }];
        const one = compileOrg(org);
        const other = compileOrg({ ...org, policies: [...added, ...org.policies] });
        for (const q of asked) assert.deepEqual(other.decide(q), one.decide(q));
      }),
    );
  });

  it('do not depend on the case of names', () => {
    fc.assert(
      fc.property(state, question, (org, q) => {
        const target = q.action === 'tool' ? q.target : q.target.toUpperCase();
        const access = compileOrg(org);
        assert.deepEqual(access.decide({ ...q, actor: q.actor.toUpperCase(), target }), access.decide(q));
      }),
    );
  });

  it('let release exactly whom can_spawn lets spawn', () => {
    fc.assert(
      fc.property(state, question, (org, q) => {
        const rules = (found: Policy) =>
          found.rules.map(({ maxSpawns: _max, canBeSpawned: _may, ...rest }) => rest as PolicyRule);
        const access = compileOrg({ ...org, policies: org.policies.map((p) => ({ ...p, rules: rules(p) })) });
        const [release, spawn] = [
          access.decide({ ...q, action: 'release' }),
          access.decide({ ...q, action: 'spawn' }),
        ];
        assert.equal(release.allowed, spawn.allowed);
        assert.equal(compileOrg(org).decide({ ...q, action: 'release' }).allowed, release.allowed);
      }),
    );
  });

  it('are not touched by what happens to the state afterwards', () => {
    fc.assert(
      fc.property(state, question, (org, q) => {
        const before = naiveDecision(org, q);
        const access = compileOrg(org);
        for (const policy of org.policies) {
          for (const { canMessage, canSpawn, allowedTools } of policy.rules)
            for (const found of [canMessage, canSpawn, allowedTools]) found?.patterns.splice(0);
          policy.rules.splice(0);
        }
        for (const found of org.assignments) found.user = found.workspace = found.repo = 'other';
        org.assignments.splice(0);
        assert.deepEqual(outcomeOf(access.decide(q)), before);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('limits', () => {
  it('are those of the first rule that sets one', () => {
    fc.assert(
      fc.property(state, name, fc.constantFrom('', ...USERS), (org, agent, whose) => {
        const limits = compileOrg(org).limitsFor({ name: agent, user: whose });
        for (const matter of ['rateLimitPerMinute', 'maxSpawns'] as const) {
          const found = firstRule(org, agent, whose, (one) => one[matter] !== undefined);
          const { level: source, id: policy } = found?.policy ?? {};
          assert.deepEqual(limits[matter], found && { value: found.rule[matter], source, policy });
        }
      }),
    );
  });
});
