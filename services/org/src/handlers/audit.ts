/** ListAudit, ExportAudit. */

import type {
  AuditEntry,
  AuditFilter,
  ExportAuditRequest,
  ExportAuditResponse,
  ListAuditRequest,
  ListAuditResponse,
} from '@fleetwire/gen/org';
import { cutPage, readPage } from '@fleetwire/rpc';
import type { StoreTransaction } from '@fleetwire/store';
import { type Call, look } from './act.ts';
import type { OrgParts } from './parts.ts';

const EXPORT_BATCH = 500;
const NEWEST = Number.MAX_SAFE_INTEGER;

/** Newest first. */
export function listAudit(
  parts: OrgParts,
  request: ListAuditRequest,
  call: Call,
): Promise<ListAuditResponse> {
  const { size, after } = readPage(request, (key) => /^\d{1,15}$/.test(key));
  return look(parts, 'listAudit', call, request.org, async ({ query, org }) => {
    const before = after === '' ? NEWEST : Number(after);
    const rows = await entries(query, org.id, request.filter, `id < $8 order by id desc`, before, size + 1);
    const { shown, nextPageToken } = cutPage(rows, size, (row) => String(row.id));
    return { entries: [...shown], nextPageToken };
  });
}

/**
 * Oldest first, in batches; each is read by itself, and so are the rights: an export ends when they do. What is written
 * meanwhile is part of it.
 */
export async function* exportAudit(
  parts: OrgParts,
  request: ExportAuditRequest,
  call: Call,
): AsyncGenerator<ExportAuditResponse> {
  for (let after = 0; !call.signal.aborted && !call.draining.aborted; ) {
    const batch = await look(parts, 'exportAudit', call, request.org, ({ query, org }) =>
      entries(query, org.id, request.filter, `id > $8 order by id`, after, EXPORT_BATCH),
    );
    if (batch.length > 0) yield { entries: batch };
    if (batch.length < EXPORT_BATCH) return;
    after = batch.at(-1)!.id;
  }
}

interface Row {
  readonly id: number;
  readonly at_ms: number;
  readonly actor_kind: string;
  readonly actor: string;
  readonly action: string;
  readonly target: string;
  readonly decision: string;
  readonly reason: string;
  readonly peer: string;
  readonly details: Record<string, string>;
}

async function entries(
  query: StoreTransaction['query'],
  org: string,
  filter: AuditFilter | undefined,
  which: string,
  from: number,
  limit: number,
): Promise<AuditEntry[]> {
  const rows = await query<Row>(
    `select * from audit where org = $1 and ($2 = '' or actor = $2) and ($3 = '' or starts_with(action, $3))
     and ($4 = '' or target = $4) and ($5 = '' or decision = $5) and at_ms >= $6 and ($7::bigint = 0 or at_ms < $7)
     and ${which} limit $9`,
    [
      org,
      filter?.actor ?? '',
      filter?.action ?? '',
      filter?.target ?? '',
      filter?.decision ?? '',
      filter?.fromMs ?? 0,
      filter?.untilMs ?? 0,
      from,
      limit,
    ],
  );
  return rows.map((row) => ({
    id: row.id,
    atMs: row.at_ms,
    actorKind: row.actor_kind,
    actor: row.actor,
    action: row.action,
    target: row.target,
    decision: row.decision,
    reason: row.reason,
    peer: row.peer,
    details: row.details,
  }));
}
