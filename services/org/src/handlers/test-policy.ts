/** TestPolicy: what would be decided, and why, by the policies in force or with one put in that nobody has saved yet. */

import { ACTIONS, type Action, compileOrg } from '@fleetwire/access';
import type { TestPolicyRequest, TestPolicyResponse } from '@fleetwire/gen/org';
import { isName, lineViolation } from '@fleetwire/kernel';
import { refuseViolations, unlessIn } from '../domain/texts.ts';
import { orgState } from '../store/org-state.ts';
import { type Call, look } from './act.ts';
import type { OrgParts } from './parts.ts';
import { checked } from './policies.ts';

export function testPolicy(
  parts: OrgParts,
  request: TestPolicyRequest,
  call: Call,
): Promise<TestPolicyResponse> {
  const { action, actor, target, user, spawned } = request;
  refuseViolations('INVALID_QUESTION', [
    unlessIn('action', action, ACTIONS),
    isName(actor) ? undefined : { field: 'actor', description: 'must be the name of an agent' },
    action === 'tool'
      ? lineViolation('target', target, 100)
      : isName(target)
        ? undefined
        : { field: 'target', description: 'must be the name of an agent' },
  ]);
  return look(parts, 'testPolicy', call, request.org, async ({ query, org, nowMs }) => {
    const state = (await orgState(query, org.id, nowMs))!;
    if (request.candidate !== undefined) {
      const candidate = checked(request.candidate);
      state.policies = state.policies.filter(({ id }) => id !== candidate.id);
      if (!candidate.disabled) state.policies.push({ ...candidate, id: candidate.id || 'candidate' });
    }
    const access = compileOrg(state);
    const whose = user === '' ? {} : { actorUser: user };
    const decision = access.decide({ action: action as Action, actor, target, spawned, ...whose });
    const limits = access.limitsFor({ name: actor, ...(user === '' ? {} : { user }) });
    return {
      allowed: decision.allowed,
      reason: decision.reason,
      source: decision.source,
      matchedPolicy: decision.matchedPolicy,
      matchedPolicyName: decision.matchedPolicyName,
      matchedRule: Math.max(0, decision.matchedRule),
      explanation: decision.explanation,
      rateLimitPerMinute: limits.rateLimitPerMinute?.value ?? 0,
    };
  });
}
