/** Creates under an idempotency key: done once, and told again to whoever repeats the call. */

import { createHash } from 'node:crypto';
import { FleetwireError } from '@fleetwire/kernel';
import type { StoreTransaction } from '@fleetwire/store';
import type { Act } from './act.ts';

const KEY_CHARS = 64;

export interface Once {
  /** Empty for what belongs to no org yet. */
  readonly org: string;
  readonly actor: string;
  readonly operation: string;
  /** Of the caller's choice; empty: every call is a new one. */
  readonly key: string;
  /** The request without its key, to tell a repetition from another call. */
  readonly request: unknown;
}

/**
 * `make` gives the id of what it made; undefined comes back then. A repeated call gets that id and makes nothing.
 * Throws INVALID_IDEMPOTENCY_KEY, and IDEMPOTENCY_KEY_REUSED when the key stood for another request.
 */
export async function repeated(
  query: StoreTransaction['query'],
  once: Once,
  nowMs: number,
  make: () => Promise<string>,
): Promise<string | undefined> {
  if (once.key === '') {
    await make();
    return undefined;
  }
  if (once.key.length > KEY_CHARS || !/^[\x21-\x7e]+$/.test(once.key)) throw invalidKey();
  const hash = createHash('sha256').update(JSON.stringify(once.request)).digest('hex');
  const where = [once.org, once.actor, once.operation, once.key];
  // A second call waits here until the first one is committed or undone.
  const inserted = await query(
    `insert into idempotency (org, actor, operation, key, request_hash, resource, created_at_ms)
     values ($1, $2, $3, $4, $5, '', $6) on conflict do nothing returning key`,
    [...where, hash, nowMs],
  );
  const row = 'where org = $1 and actor = $2 and operation = $3 and key = $4';
  if (inserted.length === 1) {
    const resource = await make();
    await query(`update idempotency set resource = $5 ${row}`, [...where, resource]);
    return undefined;
  }
  const found = await query<{ request_hash: string; resource: string }>(
    `select request_hash, resource from idempotency ${row}`,
    where,
  );
  if (found[0]?.request_hash !== hash) throw reused();
  return found[0].resource;
}

/** `repeated` for a change in an org, under the key of its request. */
export function repeatedIn(
  { query, org, actor, operation, nowMs }: Act,
  request: { readonly idempotencyKey: string },
  make: () => Promise<string>,
): Promise<string | undefined> {
  const { idempotencyKey: key, ...rest } = request;
  return repeated(query, { org: org.id, actor, operation, key, request: rest }, nowMs, make);
}

function invalidKey(): FleetwireError {
  return new FleetwireError(
    'invalid_argument',
    'INVALID_IDEMPOTENCY_KEY',
    'the idempotency key is not usable',
    {
      help: `Use 1 to ${KEY_CHARS} printable characters without spaces.`,
      violations: [
        { field: 'idempotency_key', description: `must be 1 to ${KEY_CHARS} printable characters` },
      ],
    },
  );
}

function reused(): FleetwireError {
  return new FleetwireError(
    'already_exists',
    'IDEMPOTENCY_KEY_REUSED',
    'this idempotency key stood for another request',
    { help: 'Use a new key for each thing that you create.' },
  );
}
