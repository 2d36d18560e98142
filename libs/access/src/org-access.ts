/** All that a service may ask about an org. */

import type { AgentAssignment, OrgState } from '@fleetwire/gen/access';
import { FleetwireError, foldName, printable } from '@fleetwire/kernel';
import { type AgentLimits, type AgentRules, agentRules } from './agent-rules.ts';
import { BY_DEFAULT, CLOSED, type Decision, type Question } from './decision.ts';
import { planLimitError } from './plan-limit.ts';
import { UNLIMITED } from './plans.ts';
import { Recent } from './recent.ts';
import { Revocations, type TokenFacts } from './revocations.ts';
import { RuleBook } from './rule-book.ts';

/** An agent as limits are asked for. */
export interface AgentRef {
  /** In any case. */
  readonly name: string;
  /** Id of the user whom it belongs to; missing or empty: as assigned. */
  readonly user?: string;
}

/** Immutable, made by `compileOrg`. No answer waits, and none is thrown. */
export class OrgAccess {
  /** What it was compiled from. */
  readonly state: OrgState;
  /** active, deleting or deleted. */
  readonly status: string;
  /** Of the state: it grows. */
  readonly version: number;
  readonly #closed: boolean;
  readonly #book: RuleBook;
  readonly #revocations: Revocations;
  readonly #assignments: ReadonlyMap<string, AgentAssignment>;
  readonly #agents: Recent<AgentRules>;

  /** @internal Use `compileOrg`. */
  constructor(state: OrgState, agentsRememberedMax: number) {
    this.state = state;
    this.status = state.status;
    this.version = state.version;
    this.#closed = state.status === 'deleting' || state.status === 'deleted';
    this.#book = new RuleBook(state.policies);
    this.#revocations = new Revocations(state.org, state.revocations);
    this.#assignments = new Map(state.assignments.map((found) => [foldName(found.agent), { ...found }]));
    this.#agents = new Recent(agentsRememberedMax);
  }

  /** May it? The first rule that is for the agent and speaks on the matter decides; where none does, it may. */
  decide(question: Question): Decision {
    if (this.#closed) return CLOSED;
    const { action, target } = question;
    const actor = this.#rulesOf(question.actor, question.actorUser);
    switch (action) {
      case 'message':
        return actor.message?.ask(foldName(target)) ?? BY_DEFAULT.message;
      case 'tool':
        return actor.tool?.ask(target) ?? BY_DEFAULT.tool;
      case 'release':
        return actor.release?.ask(foldName(target)) ?? BY_DEFAULT.release;
      case 'spawn':
        return this.#spawn(actor, question);
    }
  }

  /** The first refusal; when there is none, the first of the three that a policy spoke on. */
  #spawn(actor: AgentRules, question: Question): Decision {
    const may = actor.spawn?.ask(foldName(question.target));
    if (may?.allowed === false) return may;
    const more = actor.spawnLimit?.ask(question.spawned ?? 0);
    if (more?.allowed === false) return more;
    const { spawnable } = this.#rulesOf(question.target, question.targetUser);
    if (spawnable?.allowed === false) return spawnable;
    return may ?? more ?? spawnable ?? BY_DEFAULT.spawn;
  }

  /** False: every question about a message is answered with yes, so that nobody need ask. */
  get restrictsMessages(): boolean {
    return this.#closed || this.#book.speaksOf.message;
  }

  /** False: no agent has a limit of messages a minute. */
  get limitsRates(): boolean {
    return this.#book.speaksOf.rateLimit;
  }

  /** How much the policies let one agent do. */
  limitsFor(agent: AgentRef): AgentLimits {
    return this.#rulesOf(agent.name, agent.user).limits;
  }

  /** `unauthenticated`: `ORG_CLOSED` once the deletion of the org has begun, `TOKEN_REVOKED`; undefined: it is good. */
  revoked(token: TokenFacts): FleetwireError | undefined {
    if (!this.#closed) return this.#revocations.refusal(token);
    return new FleetwireError('unauthenticated', 'ORG_CLOSED', `the org is ${this.status}`, {
      help: 'Use another org; within 30 days of its deletion, support can restore this one.',
      details: { org: this.state.org, status: this.status },
    });
  }

  /**
   * May one more be added to the `present` ones? `resource_exhausted` `PLAN_LIMIT` with details {limit, value, plan,
   * lifted_by} when not. A state without limits has none.
   */
  admit(what: 'node' | 'agent', present: number): FleetwireError | undefined {
    const limit = what === 'node' ? 'nodes' : 'agents';
    const value = this.planLimit(limit);
    if (value === undefined || present < value) return undefined;
    return planLimitError({ limit, value, plan: this.state.plan, present });
  }

  /** How many its plan allows; undefined: any number. */
  planLimit(what: 'nodes' | 'agents'): number | undefined {
    const value = this.state.limits?.[what] ?? UNLIMITED;
    return value < 0 ? undefined : value;
  }

  /** `failed_precondition` `WORKSPACE_SUSPENDED` when the agent is assigned to a workspace that accepts none. */
  acceptsAgent(name: string): FleetwireError | undefined {
    const assignment = this.assignmentOf(name);
    if (!assignment?.suspended) return undefined;
    const message = `the workspace of agent "${printable(name)}" is suspended`;
    return new FleetwireError('failed_precondition', 'WORKSPACE_SUSPENDED', message, {
      help: 'Ask an admin of the org to reassign the workspace, or assign the agent to another one.',
      details: { agent: assignment.agent, workspace: assignment.workspace },
    });
  }

  /** Where the agent works; undefined: it is assigned to no workspace. */
  assignmentOf(agentName: string): AgentAssignment | undefined {
    return this.#assignments.get(foldName(agentName));
  }

  #rulesOf(name: string, givenUser = ''): AgentRules {
    const agent = foldName(name);
    const known = this.#agents.get(agent);
    if (known !== undefined && known.user === (givenUser || known.assignedUser)) return known;
    const assignment = this.#assignments.get(agent);
    const assignedUser = assignment?.user ?? '';
    const place = {
      user: givenUser || assignedUser,
      workspace: assignment?.workspace ?? '',
      repo: assignment?.repo ?? '',
    };
    const rules = agentRules(this.#book, agent, place, assignedUser);
    this.#agents.set(agent, rules);
    return rules;
  }
}
