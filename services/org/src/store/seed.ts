/** Creates the first org with its owner and first API key; any number of replicas may do so at once, any number of times. */

import { FleetwireError } from '@fleetwire/kernel';
import { isConflict, type Store, type StoreTransaction } from '@fleetwire/store';

export interface Seed {
  readonly org: { readonly id: string; readonly slug: string; readonly name: string };
  readonly ownerEmail: string;
  /** A fresh id, used when the owner is not there yet. */
  readonly ownerId: string;
  /** Undefined: the keys folder holds none (any more). */
  readonly key: { readonly id: string; readonly hash: string; readonly prefix: string } | undefined;
  readonly nowMs: number;
}

/**
 * What is there is left alone: a later change of the e-mail makes no second owner, and a revoked first key stays
 * revoked. A new key in the keys folder is taken up, which is how an org whose keys were lost is opened again.
 * Rejects failed_precondition DATABASE_OF_ANOTHER_FABRIC when the slug is that of an org with another id.
 */
export function seedOrg(store: Store, seed: Seed): Promise<{ created: boolean }> {
  return store
    .transaction(async (tx) => {
      const { org, nowMs } = seed;
      // A second replica waits here for the first one's commit, and then inserts nothing.
      const inserted = await tx.query(
        `insert into orgs (id, slug, name, owner_email, created_at_ms) values ($1, $2, $3, $4, $5)
       on conflict (id) do nothing returning id`,
        [org.id, org.slug, org.name, seed.ownerEmail, nowMs],
      );
      const created = inserted.length === 1;
      if (created) {
        await tx.query(
          `insert into users (id, org, email, role, created_at_ms) values ($1, $2, $3, 'owner', $4)`,
          [seed.ownerId, org.id, seed.ownerEmail, nowMs],
        );
      }
      if (seed.key) await insertFirstKey(tx, seed, seed.key);
      return { created };
    })
    .catch((error: unknown) => {
      throw isConflict(error, 'orgs_slug_unique') ? ofAnotherFabric(seed.org.slug, error) : error;
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
     select $1, $2, id, 'first key', $3, $4, '{admin}', $5 from users
     where org = $2 and role = 'owner' order by created_at_ms limit 1
     on conflict (hash) do nothing`,
    [key.id, seed.org.id, key.prefix, key.hash, seed.nowMs],
  );
}
