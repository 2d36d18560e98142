/** ListJoinTokens, RevokeJoinToken. */

import type {
  JoinToken,
  ListJoinTokensRequest,
  ListJoinTokensResponse,
  RevokeJoinTokenRequest,
  RevokeJoinTokenResponse,
} from '@fleetwire/gen/org';
import { FleetwireError } from '@fleetwire/kernel';
import { cutPage, readPage } from '@fleetwire/rpc';
import { checkJoinTokenStatus, joinTokenStatus } from '../domain/join-tokens.ts';
import type { JoinTokenRow } from '../store/access-entities.ts';
import { endJoinToken, joinTokenById, joinTokensOf } from '../store/join-tokens.ts';
import { type Call, change, look } from './act.ts';
import type { OrgParts } from './parts.ts';

/** The token itself is shown nowhere again. */
export function listJoinTokens(
  parts: OrgParts,
  request: ListJoinTokensRequest,
  call: Call,
): Promise<ListJoinTokensResponse> {
  const { size, after } = readPage(request);
  const status = checkJoinTokenStatus(request.status);
  return look(parts, 'listJoinTokens', call, request.org, async (act) => {
    if (request.user !== '') act.mustOwn(request.user);
    const user = act.onOthers ? request.user : act.actor;
    const filter = { user, after, limit: size + 1, status: status ?? '', nowMs: act.nowMs };
    const rows = await joinTokensOf(act.query, act.org.id, filter);
    const { shown, nextPageToken } = cutPage(rows, size, (row) => row.id);
    return { tokens: shown.map((row) => shownToken(row, act.nowMs)), nextPageToken };
  });
}

export function revokeJoinToken(
  parts: OrgParts,
  request: RevokeJoinTokenRequest,
  call: Call,
): Promise<RevokeJoinTokenResponse> {
  return change(parts, 'revokeJoinToken', call, request.org, async (act) => {
    act.about(request.id);
    const token = await joinTokenById(act.query, act.org.id, request.id);
    if (token === undefined) throw unknownToken();
    act.mustOwn(token.createdBy);
    if (await endJoinToken(act.query, token.hash, act.nowMs)) return {};
    // Read again: a machine may have joined since the first look.
    if ((await joinTokenById(act.query, act.org.id, request.id))?.usedBy !== null) throw spentToken();
    return {};
  });
}

function unknownToken(): FleetwireError {
  return new FleetwireError('not_found', 'JOIN_TOKEN_UNKNOWN', 'there is no such join token in your org', {
    help: 'List the join tokens; the id begins with j_.',
  });
}

function spentToken(): FleetwireError {
  return new FleetwireError(
    'failed_precondition',
    'JOIN_TOKEN_SPENT',
    'a machine has joined with this join token',
    { help: 'Remove the node of that machine instead.' },
  );
}

function shownToken(row: JoinTokenRow, nowMs: number): JoinToken {
  return {
    id: row.id,
    user: row.createdBy,
    status: joinTokenStatus(row, nowMs),
    createdAtMs: row.createdAtMs,
    expiresAtMs: row.expiresAtMs,
    usedAtMs: row.usedAtMs ?? 0,
    usedBy: row.usedBy ?? '',
  };
}
