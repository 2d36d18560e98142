/** What the org service answers, as documents with stable fields. Moments are ISO 8601, null where there is none. */

import type { Limits } from '@fleetwire/gen/access';
import type {
  ApiKey,
  AuditEntry,
  Invite,
  JoinToken,
  Member,
  Org,
  Plan,
  UsageDay,
  Workspace,
  WorkspaceAgent,
} from '@fleetwire/gen/org';
import { isoOrNull } from './output.ts';

export function orgDocument(org: Org): object {
  return {
    id: org.id,
    slug: org.slug,
    name: org.name,
    owner_email: org.ownerEmail,
    plan: org.plan,
    status: org.status,
    billing_status: org.billingStatus,
    members: org.members,
    sso_enabled: org.settings?.ssoEnabled ?? false,
    history: org.settings?.history ?? '',
    message_events: org.settings?.messageEvents ?? '',
    created_at: isoOrNull(org.createdAtMs),
    deleted_at: isoOrNull(org.deletedAtMs),
    version: org.version,
  };
}

export function memberDocument(member: Member): object {
  return {
    user: member.user,
    email: member.email,
    role: member.role,
    invited_by: member.invitedBy,
    joined_at: isoOrNull(member.joinedAtMs),
    version: member.version,
  };
}

export function inviteDocument(invite: Invite): object {
  return {
    id: invite.id,
    email: invite.email,
    role: invite.role,
    status: invite.status,
    note: invite.note,
    mail: invite.mail,
    invited_by: invite.invitedBy,
    accepted_by: invite.acceptedBy,
    created_at: isoOrNull(invite.createdAtMs),
    expires_at: isoOrNull(invite.expiresAtMs),
  };
}

export function keyDocument(key: ApiKey): object {
  return {
    id: key.id,
    name: key.name,
    prefix: key.prefix,
    scopes: key.scopes,
    user: key.user,
    created_at: isoOrNull(key.createdAtMs),
    expires_at: isoOrNull(key.expiresAtMs),
    revoked_at: isoOrNull(key.revokedAtMs),
    last_used_at: isoOrNull(key.lastUsedAtMs),
  };
}

/** `agents`: of any workspace; its own are taken. */
export function workspaceDocument(workspace: Workspace, agents: readonly WorkspaceAgent[]): object {
  return {
    id: workspace.id,
    name: workspace.name,
    user: workspace.user,
    status: workspace.status,
    repositories: workspace.repositories.map(({ id, url, defaultBranch }) => ({
      id,
      url,
      default_branch: defaultBranch,
    })),
    resource_tier: workspace.resourceTier,
    max_agents: workspace.maxAgents,
    agents: agents
      .filter((agent) => agent.workspace === workspace.id)
      .map(({ agent, repo }) => ({ agent, repo })),
    created_at: isoOrNull(workspace.createdAtMs),
    suspended_at: isoOrNull(workspace.suspendedAtMs),
    grace_until: isoOrNull(workspace.graceUntilMs),
    version: workspace.version,
  };
}

/** Null: no limit. */
export function limitsDocument(limits: Limits | undefined): object {
  const { workspaces, agents, nodes, members } = limits ?? NO_LIMITS;
  const orNull = (value: number) => (value < 0 ? null : value);
  return {
    workspaces: orNull(workspaces),
    agents: orNull(agents),
    nodes: orNull(nodes),
    members: orNull(members),
  };
}

export const NO_LIMITS: Limits = { workspaces: -1, agents: -1, nodes: -1, members: -1 };

export function planDocument(plan: Plan): object {
  return {
    name: plan.name,
    price_cents: plan.priceCents,
    seats_min: plan.seatsMin,
    limits: limitsDocument(plan.limits),
    agents_per_member: plan.agentsPerMember,
    org_policies: plan.orgPolicies,
    sso_addon: plan.ssoAddon,
    support: plan.support,
  };
}

export function usageDocument({ day, messages, bytes, agents, nodes }: UsageDay): object {
  return { day, messages, bytes, agents, nodes };
}

export function auditDocument(entry: AuditEntry): object {
  return {
    id: entry.id,
    at: isoOrNull(entry.atMs),
    actor_kind: entry.actorKind,
    actor: entry.actor,
    action: entry.action,
    target: entry.target,
    decision: entry.decision,
    reason: entry.reason,
    peer: entry.peer,
    details: entry.details,
  };
}

/** The token itself is in no list. */
export function joinTokenDocument(token: JoinToken): object {
  return {
    id: token.id,
    user: token.user,
    status: token.status,
    created_at: isoOrNull(token.createdAtMs),
    expires_at: isoOrNull(token.expiresAtMs),
    used_at: isoOrNull(token.usedAtMs),
    used_by: token.usedBy,
  };
}
