/** CreateJoinToken, RedeemJoinToken. */

import type {
  CreateJoinTokenRequest,
  CreateJoinTokenResponse,
  RedeemJoinTokenRequest,
  RedeemJoinTokenResponse,
} from '@fleetwire/gen/org';
import { hashSecret, newJoinToken } from '@fleetwire/identity';
import { FleetwireError, newId } from '@fleetwire/kernel';
import { checkPublicKey, checkTtl, invalidJoinToken, refusal } from '../domain/join-tokens.ts';
import { PERMISSIONS } from '../domain/permissions.ts';
import { refuseShare } from '../domain/shares.ts';
import { JoinToken } from '../store/access-entities.ts';
import { forgetOldJoinTokens, unspentJoinTokens } from '../store/join-tokens.ts';
import { admitted, type Call, change } from './act.ts';
import { nowMs, type OrgParts } from './parts.ts';

export function createJoinToken(
  parts: OrgParts,
  request: CreateJoinTokenRequest,
  call: Call,
): Promise<CreateJoinTokenResponse> {
  const ttlS = checkTtl(request.ttlS);
  return change(parts, 'createJoinToken', call, request.org, async (act) => {
    const { query, org, nowMs: now } = act;
    const joinToken = newJoinToken();
    const id = newId('join');
    const expiresAtMs = now + ttlS * 1000;
    await forgetOldJoinTokens(query, org.id, now);
    const { max_join_tokens: max } = parts.config;
    if ((await unspentJoinTokens(query, org.id, now)) >= max) throw limitReached(max);
    if (act.role === 'member')
      refuseShare(await unspentJoinTokens(query, org.id, now, act.actor), max, 'join tokens');
    const row = {
      hash: hashSecret(joinToken),
      id,
      org: org.id,
      createdBy: act.actor,
      keyId: act.caller.key || null,
    };
    await act.em.insert(JoinToken, { ...row, createdAtMs: now, expiresAtMs });
    act.about(id);
    return { joinToken, expiresAtMs };
  });
}

function limitReached(max: number): FleetwireError {
  return new FleetwireError(
    'resource_exhausted',
    'JOIN_TOKEN_LIMIT',
    `the org has ${max} unspent join tokens`,
    {
      help: 'Use them, or wait until some have expired.',
    },
  );
}

export async function redeemJoinToken(
  parts: OrgParts,
  request: RedeemJoinTokenRequest,
  call: Call,
): Promise<RedeemJoinTokenResponse> {
  const { subject: service } = await admitted(parts, 'redeemJoinToken', call);
  checkPublicKey(request.publicKey);
  const hash = hashSecret(request.joinToken);
  const now = nowMs(parts.clock);
  const by = { service, action: PERMISSIONS.redeemJoinToken.action, peer: call.peer };
  const spent = await parts.joinTokens.spend(hash, request.publicKey, now, by);
  if (spent !== undefined) return spent;
  const token = await parts.joinTokens.byHash(hash);
  // A closed org's tokens look like none.
  if (token === undefined || token.orgStatus !== 'active') throw invalidJoinToken();
  const why = refusal(token, request.publicKey, now);
  if (why) {
    await parts.denials.write({
      org: token.org,
      atMs: now,
      actorKind: 'service',
      actor: service,
      action: PERMISSIONS.redeemJoinToken.action,
      target: token.id,
      decision: 'denied',
      reason: why.reason,
      peer: call.peer,
      details: { public_key: request.publicKey },
    });
    throw why;
  }
  return { org: token.org, user: token.createdBy };
}
