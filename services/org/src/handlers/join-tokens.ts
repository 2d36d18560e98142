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
import { requireScope, requireService } from '../domain/scopes.ts';
import { type Caller, nowMs, type OrgParts } from './parts.ts';

export async function createJoinToken(
  parts: OrgParts,
  request: CreateJoinTokenRequest,
  caller: Caller,
): Promise<CreateJoinTokenResponse> {
  requireScope(caller, 'node-join', 'admin');
  const ttlS = checkTtl(request.ttlS);
  const now = nowMs(parts.clock);
  const joinToken = newJoinToken();
  const row = {
    hash: hashSecret(joinToken),
    id: newId('join'),
    org: caller.org,
    createdBy: caller.subject,
    createdAtMs: now,
    expiresAtMs: now + ttlS * 1000,
  };
  const { max_join_tokens } = parts.config;
  if (!(await parts.joinTokens.insert(row, max_join_tokens))) {
    throw new FleetwireError(
      'resource_exhausted',
      'JOIN_TOKEN_LIMIT',
      `the org has ${max_join_tokens} unspent join tokens`,
      { help: 'Use them, or wait until some have expired.' },
    );
  }
  return { joinToken, expiresAtMs: row.expiresAtMs };
}

export async function redeemJoinToken(
  parts: OrgParts,
  request: RedeemJoinTokenRequest,
  caller: Caller,
): Promise<RedeemJoinTokenResponse> {
  requireService(caller, 'registry');
  checkPublicKey(request.publicKey);
  const hash = hashSecret(request.joinToken);
  const now = nowMs(parts.clock);
  const org = await parts.joinTokens.spend(hash, request.publicKey, now);
  if (org !== undefined) return { org };
  const token = await parts.joinTokens.byHash(hash);
  if (token === null) throw invalidJoinToken();
  const why = refusal(token, request.publicKey, now);
  if (why) throw why;
  return { org: token.org };
}
