/** The only door to PostgreSQL: one schema per service, guarded migrations, bounded connections, typed errors. */
export type { InferEntity, RequiredEntityData } from '@mikro-orm/core';
export { defineEntity, p } from '@mikro-orm/core';
export { Migration } from '@mikro-orm/migrations';
export type { EntityManager } from '@mikro-orm/postgresql';
export type { Statement } from './copy.ts';
export type { CopyColumn } from './copy-format.ts';
export type { MigrationEntry } from './migrate.ts';
export { keptSecret, SecretEntity } from './secrets.ts';
export { openStore, type Store, type StoreOptions, type StoreTransaction } from './store.ts';
export { asStoreError, isConflict, isStoreAway } from './store-errors.ts';
