/** Creates the orgs of the keys folder with owner and first API key; any number of replicas may, any number of times. */

import { FleetwireError } from '@fleetwire/kernel';
import { isConflict, type Store, type StoreTransaction } from '@fleetwire/store';
import { FIRST_KEY } from '../domain/api-keys.ts';
import { foldEmail } from '../domain/texts.ts';
import { addMember, billingDue, insertOrg, newUser } from './orgs.ts';
import { writeAudit, writeEvent } from './records.ts';

export interface Seed {
  readonly org: { readonly id: string; readonly slug: string; readonly name: string };
  readonly plan: string;
  readonly ownerEmail: string;
  /** A fresh id, used when the owner is not there yet. */
  readonly ownerId: string;
  /** Undefined: the keys folder holds none (any more). */
  readonly key: { readonly id: string; readonly hash: string; readonly prefix: string } | undefined;
  readonly nowMs: number;
  /** Why there may be no second org; undefined: there may. */
  readonly second: FleetwireError | undefined;
}

/**
 * What is there is left alone: a later change of the e-mail makes no second owner, and a revoked first key stays
 * revoked. A new key in the keys folder is taken up, which is how an org whose keys were lost is opened again.
 * Rejects failed_precondition DATABASE_OF_ANOTHER_FABRIC when the slug is that of an org with another id, and `second` when it
 * would be one.
 */
export function seedOrg(store: Store, seed: Seed): Promise<{ created: boolean }> {
  return store
    .transaction(async (tx) => {
      const { org, nowMs } = seed;
      // A second replica waits here for the first one's commit, and then inserts nothing.
      const created = await insertOrg(tx.query, { ...org, plan: seed.plan }, nowMs, seed.second);
      if (created) await insertOwner(tx, seed);
      if (seed.key) await insertFirstKey(tx, seed, seed.key);
      return { created };
    })
    .catch((error: unknown) => {
      throw isConflict(error, 'orgs_slug_unique') ? ofAnotherFabric(seed.org.slug, error) : error;
    });
}

async function insertOwner({ query }: StoreTransaction, seed: Seed): Promise<void> {
  const { org, ownerEmail: email, ownerId: id, nowMs } = seed;
  const user = await newUser(query, { id, email, folded: foldEmail(email), org: org.id }, nowMs);
  await addMember(query, { org: org.id, user, role: 'owner', invitedBy: null }, nowMs);
  await billingDue(query, org.id, nowMs);
  const said = { org: org.id, actor: 'org', target: org.id, atMs: nowMs };
  const details = { slug: org.slug, plan: seed.plan };
  await writeEvent(query, { ...said, name: 'org_created', details, traceparent: '' });
  await writeAudit(query, {
    ...said,
    actorKind: 'service',
    action: 'org.create',
    decision: 'allowed',
    peer: '',
    details,
  });
}

function ofAnotherFabric(slug: string, cause: unknown): FleetwireError {
  const said = `the database has an org "${slug}" that was made with other keys`;
  return new FleetwireError('failed_precondition', 'DATABASE_OF_ANOTHER_FABRIC', said, {
    help: 'Set FLEETWIRE_KEYS_DIR to the keys that belong to this database, or FLEETWIRE_DATABASE_URL to an empty one.',
    cause,
  });
}

async function insertFirstKey(
  tx: StoreTransaction,
  seed: Seed,
  key: NonNullable<Seed['key']>,
): Promise<void> {
  await tx.query(
    `insert into api_keys (id, org, user_id, name, prefix, hash, scopes, created_at_ms)
     select $1, $2, user_id, $6, $3, $4, '{admin}', $5 from memberships where org = $2 and role = 'owner'
     on conflict (hash) do nothing`,
    [key.id, seed.org.id, key.prefix, key.hash, seed.nowMs, FIRST_KEY],
  );
}
