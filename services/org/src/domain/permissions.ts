/** Who may call what: the one table that the handlers, the tests and docs/reference/permissions.md go by. */

import type { OrgServiceDefinition } from '@fleetwire/gen/org';
import type { Scope } from './scopes.ts';

export const ROLES = ['owner', 'admin', 'member'] as const;
export type Role = (typeof ROLES)[number];

/** Name of an RPC of OrgService. */
export type Operation = keyof OrgServiceDefinition['methods'];

/** `own`: only what belongs to the caller. */
export type Grant = 'yes' | 'own' | 'no';

export type Permission =
  /** Needs no credentials; a secret in the request stands for them where there is one. */
  | { readonly for: 'anyone'; readonly action: string }
  /** Only these services, each by its own token. */
  | { readonly for: 'services'; readonly services: readonly string[]; readonly action: string }
  | {
      readonly for: 'members';
      /** The token needs one of these; none: any token. `admin` stands for all, so it is never listed beside others. */
      readonly scope: Scope | undefined;
      readonly grants: Readonly<Record<Role, Grant>>;
      /** The fabric's operator may, in any org that it names. */
      readonly operator: boolean;
      /** What the audit calls it. */
      readonly action: string;
    };

const anyone = (action: string): Permission => ({ for: 'anyone', action });
const services = (action: string, ...names: string[]): Permission => ({
  for: 'services',
  services: names,
  action,
});

function members(
  action: string,
  scope: Scope | undefined,
  [owner, admin, member]: readonly [Grant, Grant, Grant],
  operator = false,
): Permission {
  return { for: 'members', scope, grants: { owner, admin, member }, operator, action };
}

const ALL = ['yes', 'yes', 'yes'] as const;
const ADMINS = ['yes', 'yes', 'no'] as const;
const OWNER = ['yes', 'no', 'no'] as const;
const OWN = ['yes', 'yes', 'own'] as const;

export const PERMISSIONS: Readonly<Record<Operation, Permission>> = {
  exchangeKey: anyone('key.exchange'),
  getSigningKeys: anyone('key.published'),
  createOrg: members('org.create', 'account', ALL, true),
  getOrg: members('org.read', undefined, ALL, true),
  listOrgs: services('org.list', 'operator'),
  updateOrg: members('org.update', 'admin', ADMINS),
  transferOwnership: members('org.transfer', 'admin', OWNER),
  deleteOrg: members('org.delete', 'admin', OWNER, true),
  restoreOrg: services('org.restore', 'operator'),
  confirmCleared: services('org.cleared', 'registry'),
  listMembers: members('member.list', 'read', ALL, true),
  changeRole: members('member.role', 'admin', OWNER),
  removeMember: members('member.remove', 'admin', ADMINS),
  leaveOrg: members('member.leave', 'account', ALL),
  createInvite: members('invite.create', 'admin', ADMINS),
  listInvites: members('invite.list', 'admin', ADMINS),
  revokeInvite: members('invite.revoke', 'admin', ADMINS),
  lookInvite: anyone('invite.look'),
  acceptInvite: anyone('invite.accept'),
  createWorkspace: members('workspace.create', 'account', ALL),
  listWorkspaces: members('workspace.list', 'read', ALL),
  updateWorkspace: members('workspace.update', 'account', OWN),
  reassignWorkspace: members('workspace.reassign', 'admin', ADMINS),
  deleteWorkspace: members('workspace.delete', 'account', OWN),
  // The name of an agent is the whole org's: who could take any name into a workspace could stop its agent there.
  assignAgent: members('workspace.assign', 'admin', ADMINS),
  unassignAgent: members('workspace.unassign', 'admin', ADMINS),
  createApiKey: members('key.create', 'account', ALL),
  listApiKeys: members('key.list', 'account', OWN),
  revokeApiKey: members('key.revoke', 'account', OWN),
  listUnrevokedKeys: services('key.unrevoked', 'registry'),
  createJoinToken: members('node.token', 'node-join', ALL),
  listJoinTokens: members('node.token.list', 'node-join', OWN),
  revokeJoinToken: members('node.token.revoke', 'node-join', OWN),
  redeemJoinToken: services('node.join', 'registry'),
  createPolicy: members('policy.create', 'account', OWN),
  listPolicies: members('policy.list', 'read', ALL),
  updatePolicy: members('policy.update', 'account', OWN),
  deletePolicy: members('policy.delete', 'account', OWN),
  testPolicy: members('policy.test', 'read', ALL),
  getPlan: members('plan.read', 'read', ALL, true),
  listPlans: anyone('plan.list'),
  changePlan: members('plan.change', 'admin', OWNER, true),
  setLimits: services('plan.limits', 'operator'),
  getUsage: members('usage.read', 'admin', ADMINS, true),
  listAudit: members('audit.read', 'admin', ADMINS, true),
  exportAudit: members('audit.export', 'admin', ADMINS, true),
};
