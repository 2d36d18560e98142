/** Which handler answers which RPC. */

import { OrgServiceDefinition } from '@fleetwire/gen/org';
import { bindService } from '@fleetwire/rpc';
import { PERMISSIONS } from './domain/permissions.ts';
import { acceptInvite, lookInvite } from './handlers/accept-invite.ts';
import { createApiKey, listApiKeys, revokeApiKey } from './handlers/api-keys.ts';
import { assignAgent, unassignAgent } from './handlers/assignments.ts';
import { exportAudit, listAudit } from './handlers/audit.ts';
import { createOrg } from './handlers/create-org.ts';
import { confirmCleared, deleteOrg, restoreOrg } from './handlers/delete-org.ts';
import { exchangeKey, getSigningKeys } from './handlers/exchange-key.ts';
import { createInvite, listInvites, revokeInvite } from './handlers/invites.ts';
import { listJoinTokens, revokeJoinToken } from './handlers/join-token-list.ts';
import { createJoinToken, redeemJoinToken } from './handlers/join-tokens.ts';
import { listUnrevokedKeys } from './handlers/list-unrevoked-keys.ts';
import { changeRole, leaveOrg, listMembers, removeMember } from './handlers/members.ts';
import { getOrg, listOrgs, transferOwnership, updateOrg } from './handlers/orgs.ts';
import type { OrgParts } from './handlers/parts.ts';
import { changePlan, getPlan, getUsage, listPlans, setLimits } from './handlers/plans.ts';
import { createPolicy, deletePolicy, listPolicies, updatePolicy } from './handlers/policies.ts';
import { testPolicy } from './handlers/test-policy.ts';
import {
  createWorkspace,
  deleteWorkspace,
  listWorkspaces,
  reassignWorkspace,
  updateWorkspace,
} from './handlers/workspaces.ts';

/** What needs no credentials follows from the table of permissions. */
const auth = Object.fromEntries(
  Object.entries(PERMISSIONS).map(([name, { for: whom }]) => [name, whom === 'anyone' ? 'none' : 'required']),
) as Record<keyof typeof PERMISSIONS, 'none' | 'required'>;

export function bindOrg(parts: OrgParts) {
  return bindService(
    OrgServiceDefinition,
    {
      exchangeKey: (request, call) => exchangeKey(parts, request, call.peer),
      getSigningKeys: () => getSigningKeys(parts),
      createOrg: (request, call) => createOrg(parts, request, call),
      getOrg: (request, call) => getOrg(parts, request, call),
      listOrgs: (request, call) => listOrgs(parts, request, call),
      updateOrg: (request, call) => updateOrg(parts, request, call),
      transferOwnership: (request, call) => transferOwnership(parts, request, call),
      deleteOrg: (request, call) => deleteOrg(parts, request, call),
      restoreOrg: (request, call) => restoreOrg(parts, request, call),
      confirmCleared: (request, call) => confirmCleared(parts, request, call),
      listMembers: (request, call) => listMembers(parts, request, call),
      changeRole: (request, call) => changeRole(parts, request, call),
      removeMember: (request, call) => removeMember(parts, request, call),
      leaveOrg: (request, call) => leaveOrg(parts, request, call),
      createInvite: (request, call) => createInvite(parts, request, call),
      listInvites: (request, call) => listInvites(parts, request, call),
      revokeInvite: (request, call) => revokeInvite(parts, request, call),
      lookInvite: (request) => lookInvite(parts, request),
      acceptInvite: (request, call) => acceptInvite(parts, request, call),
      createWorkspace: (request, call) => createWorkspace(parts, request, call),
      listWorkspaces: (request, call) => listWorkspaces(parts, request, call),
      updateWorkspace: (request, call) => updateWorkspace(parts, request, call),
      reassignWorkspace: (request, call) => reassignWorkspace(parts, request, call),
      deleteWorkspace: (request, call) => deleteWorkspace(parts, request, call),
      assignAgent: (request, call) => assignAgent(parts, request, call),
      unassignAgent: (request, call) => unassignAgent(parts, request, call),
      createApiKey: (request, call) => createApiKey(parts, request, call),
      listApiKeys: (request, call) => listApiKeys(parts, request, call),
      revokeApiKey: (request, call) => revokeApiKey(parts, request, call),
      listUnrevokedKeys: (request, call) => listUnrevokedKeys(parts, request, call),
      createJoinToken: (request, call) => createJoinToken(parts, request, call),
      listJoinTokens: (request, call) => listJoinTokens(parts, request, call),
      revokeJoinToken: (request, call) => revokeJoinToken(parts, request, call),
      redeemJoinToken: (request, call) => redeemJoinToken(parts, request, call),
      createPolicy: (request, call) => createPolicy(parts, request, call),
      listPolicies: (request, call) => listPolicies(parts, request, call),
      updatePolicy: (request, call) => updatePolicy(parts, request, call),
      deletePolicy: (request, call) => deletePolicy(parts, request, call),
      testPolicy: (request, call) => testPolicy(parts, request, call),
      getPlan: (request, call) => getPlan(parts, request, call),
      listPlans: async () => listPlans(),
      changePlan: (request, call) => changePlan(parts, request, call),
      setLimits: (request, call) => setLimits(parts, request, call),
      getUsage: (request, call) => getUsage(parts, request, call),
      listAudit: (request, call) => listAudit(parts, request, call),
      exportAudit: (request, call) => exportAudit(parts, request, call),
    },
    { auth },
  );
}
