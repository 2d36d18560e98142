/**
 * Measures decisions: `node libs/access/test/measure-decide.ts`. An org with 200 policies of 10 rules and 1,000 agents;
 * prints nanoseconds of one decision whose agent is remembered, of one whose agent is not, and what compiling takes.
 */

import { compileOrg } from '../src/index.ts';
import { assignment, list, org, policy, rule } from './sample-org.ts';

const DECISIONS = 2_000_000;
const names = Array.from({ length: 1000 }, (_, i) => `build-agent-${i}`);
const rules = Array.from({ length: 10 }, (_, i) =>
  rule(`build-*-${i}?*`, { canMessage: list('ops', 'ci-*', `*-${i}*`, 'build-*') }),
);
const policies = Array.from({ length: 200 }, (_, i) =>
  policy(`pol_${i}`, rules, i % 4 === 0 ? { priority: i } : { level: 'user', subject: `usr_${i}` }),
);
const assignments = names.map((name, i) => assignment(name, { user: `usr_${i % 200}` }));
const state = org({ policies, assignments });

function measure(what: string, times: number, run: (i: number) => unknown): void {
  for (let i = 0; i < times / 10; i++) run(i);
  const from = process.hrtime.bigint();
  for (let i = 0; i < times; i++) run(i);
  const ns = Number(process.hrtime.bigint() - from) / times;
  console.log(`${what}: ${ns.toFixed(0)} ns`);
}

const access = compileOrg(state);
const ask = (at: typeof access) => (i: number) =>
  at.decide({ action: 'message', actor: names[i % 1000]!, target: names[(i * 7) % 1000]! });
measure('message, agent remembered', DECISIONS, ask(access));
measure('limits, agent remembered', DECISIONS, (i) => access.limitsFor({ name: names[i % 1000]! }));
measure('message, agent not remembered', DECISIONS / 20, ask(compileOrg(state, { agentsRememberedMax: 2 })));
measure('compile', 50, () => compileOrg(state));
