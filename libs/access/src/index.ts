/** Who may do what in an org, decided from the state that org publishes; pure, so that every service decides alike. */

export type { AgentLimit, AgentLimits } from './agent-rules.ts';
export * from './check-policy.ts';
export * from './compile.ts';
export * from './decision.ts';
export * from './org-access.ts';
export * from './plan-limit.ts';
export * from './plans.ts';
export * from './recent.ts';
