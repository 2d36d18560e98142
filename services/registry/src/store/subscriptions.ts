/** Reads and writes subscriptions. A key that is taken out of one is noted as refused in the same transaction. */

import { revokedForGood } from '@fleetwire/identity';
import type { Store, StoreTransaction } from '@fleetwire/store';
import type { SubscriptionRow } from './entities.ts';
import { NOTE } from './node-keys.ts';
import { lockOrg } from './orgs.ts';

const FIELDS = `org, what, name, filter, owner, api_key as "apiKey", public_key as "publicKey",
  created_at_ms as "createdAtMs", opened_at_ms as "openedAtMs", deletion`;

export type Opening = Omit<SubscriptionRow, 'createdAtMs'>;
type Key = Pick<SubscriptionRow, 'org' | 'what' | 'name'>;
type Query = StoreTransaction['query'];

/**
 * `full`: the org has `limit` of them. `differs`: there is one with another filter. `not_yours`: it is another person's.
 * `key_used`: the key is another subscription's or a node's, or was refused before. `org_cleared`: as for channels.
 */
export type OpenOutcome = 'opened' | 'full' | 'differs' | 'not_yours' | 'key_used' | 'org_cleared';

export function subscriptionRows(store: Store) {
  return {
    /** Makes it or takes it over; `anyOwner`: also from another person. */
    open: (opening: Opening, limit: number, anyOwner: boolean): Promise<OpenOutcome> =>
      store.transaction(({ query }) => open(query, opening, limit, anyOwner)),

    byName: async ({ org, what, name }: Key): Promise<SubscriptionRow | undefined> => {
      const where = 'where org = $1 and what = $2 and name = $3';
      const rows = await store.query<SubscriptionRow>(`select ${FIELDS} from subscriptions ${where}`, [
        org,
        what,
        name,
      ]);
      return rows[0];
    },

    ofOrg: (org: string): Promise<SubscriptionRow[]> =>
      store.query<SubscriptionRow>(`select ${FIELDS} from subscriptions where org = $1 order by what, name`, [
        org,
      ]),

    /**
     * Its key is refused for good from now on, once the servers are told. False: it is gone, or has another key by now, or was
     * opened by another API key than `apiKey`, where one is given.
     */
    close: (
      { org, what, name, publicKey }: Key & Pick<SubscriptionRow, 'publicKey'>,
      nowMs: number,
      apiKey?: string,
    ) =>
      store.transaction(async ({ query }): Promise<boolean> => {
        const gone = await query(
          `delete from subscriptions where org = $1 and what = $2 and name = $3 and public_key = $4
             and ($5::text is null or api_key = $5) returning name`,
          [org, what, name, publicKey, apiKey ?? null],
        );
        if (gone.length > 0) await refuse(query, org, what, name, publicKey, nowMs);
        return gone.length > 0;
      }),

    /** Those that were made before a deletion of the org; the keys of its users are refused all together. */
    removeBefore: (org: string, deletion: number): Promise<Key[]> =>
      store.query<Key>(
        'delete from subscriptions where org = $1 and deletion < $2 returning org, what, name',
        [org, deletion],
      ),
  };
}

export type SubscriptionRows = ReturnType<typeof subscriptionRows>;

async function open(query: Query, o: Opening, limit: number, anyOwner: boolean): Promise<OpenOutcome> {
  if ((await lockOrg(query, o.org)) > o.deletion) return 'org_cleared';
  // A node's above all: whoever closes the subscription would shut the node out.
  const refused = await query(
    `select from removed_keys where public_key = $1
     union all select from nodes where public_key = $1 or old_public_key = $1
     union all select from subscriptions where public_key = $1 and (org, what, name) <> ($2, $3, $4)`,
    [o.publicKey, o.org, o.what, o.name],
  );
  if (refused.length > 0) return 'key_used';
  const [there] = await query<SubscriptionRow>(
    `select ${FIELDS} from subscriptions where org = $1 and what = $2 and name = $3`,
    [o.org, o.what, o.name],
  );
  if (there !== undefined && there.owner !== o.owner && !anyOwner) return 'not_yours';
  if (there !== undefined && there.filter !== o.filter) return 'differs';
  if (there === undefined) {
    const [{ present }] = (await query<{ present: number }>(
      'select count(*)::int as present from subscriptions where org = $1',
      [o.org],
    )) as [{ present: number }];
    if (present >= limit) return 'full';
  } else if (there.publicKey !== o.publicKey) {
    await refuse(query, o.org, o.what, o.name, there.publicKey, o.openedAtMs);
  }
  await query(
    `insert into subscriptions (org, what, name, filter, owner, api_key, public_key, created_at_ms, opened_at_ms, deletion)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)
     on conflict (org, what, name) do update set owner = excluded.owner, api_key = excluded.api_key,
       public_key = excluded.public_key, opened_at_ms = excluded.opened_at_ms`,
    [o.org, o.what, o.name, o.filter, o.owner, o.apiKey, o.publicKey, o.openedAtMs, o.deletion],
  );
  return 'opened';
}

async function refuse(
  query: Query,
  org: string,
  what: string,
  name: string,
  key: string,
  nowMs: number,
): Promise<void> {
  const untilS = revokedForGood(Math.floor(nowMs / 1000));
  await query(NOTE, [[key], org, `${what} ${name}`, 0, 'subscription', nowMs, untilS]);
}
