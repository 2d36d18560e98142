/** Orgs, policies and rules of which a test says only what it is about. */

import type { AgentAssignment, OrgState, Policy, PolicyRule } from '@fleetwire/gen/access';

export function org(of: Partial<OrgState> = {}): OrgState {
  return {
    org: 'org_1',
    version: 7,
    status: 'active',
    slug: 'acme',
    plan: 'team',
    limits: { workspaces: -1, agents: -1, nodes: -1, members: -1 },
    policies: [],
    revocations: [],
    assignments: [],
    deletion: 0,
    departed: [],
    clearing: false,
    history: 'full',
    messageEvents: 'off',
    ...of,
  };
}

export function policy(id: string, rules: Policy['rules'], of: Partial<Policy> = {}): Policy {
  return {
    id,
    level: 'org',
    subject: '',
    name: `Name of ${id}`,
    description: '',
    priority: 0,
    rules,
    disabled: false,
    version: 1,
    createdBy: 'usr_1',
    createdAtMs: 1,
    updatedAtMs: 1,
    ...of,
  };
}

export function rule(agents: string, of: Partial<PolicyRule> = {}): PolicyRule {
  return { agents, allowedTools: undefined, canSpawn: undefined, canMessage: undefined, ...of };
}

export const list = (...patterns: string[]) => ({ patterns });

export function assignment(agent: string, of: Partial<AgentAssignment> = {}): AgentAssignment {
  return { agent, workspace: 'wsp_1', repo: '', user: 'usr_1', suspended: false, ...of };
}
