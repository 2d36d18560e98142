/** Secrets that all replicas of a service share: a table `secrets` in its schema. */

import { randomBytes } from 'node:crypto';
import { defineEntity, p } from '@mikro-orm/core';
import type { Store } from './store.ts';

/** To be listed with the entities of a service that keeps secrets; its migrations make the table. */
export const SecretEntity = defineEntity({
  name: 'Secret',
  tableName: 'secrets',
  properties: {
    name: p.text().primary(),
    value: p.blob(),
  },
});

const SECRET_BYTES = 32;

/** 32 random bytes, made by whoever asks first and the same for all from then on. */
export async function keptSecret(store: Pick<Store, 'query'>, name: string): Promise<Uint8Array> {
  await store.query('insert into secrets (name, value) values ($1, $2) on conflict do nothing', [
    name,
    randomBytes(SECRET_BYTES),
  ]);
  const [row] = await store.query<{ value: Uint8Array }>('select value from secrets where name = $1', [name]);
  return row!.value;
}
