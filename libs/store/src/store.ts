/** Opens a service's own schema in PostgreSQL and hands out entity managers, queries and transactions on it. */

import type { BackoffPolicy } from '@fleetwire/kernel';
import { backoffMs, FleetwireError, invariant, pause } from '@fleetwire/kernel';
import { Migrator } from '@mikro-orm/migrations';
import type { EntityManager, Options } from '@mikro-orm/postgresql';
import { MikroORM } from '@mikro-orm/postgresql';
import { CompiledQuery } from 'kysely';
import { copyRows, type Statement } from './copy.ts';
import type { CopyColumn } from './copy-format.ts';
import { type MigrationEntry, migrate, unhurried } from './migrate.ts';
import { type ClientPool, guardPool } from './pool-guard.ts';
import { Questions } from './questions.ts';
import { asStoreError, isStoreAway } from './store-errors.ts';

export interface StoreOptions {
  /** postgres://user:password@host:port/database. */
  readonly url: string;
  /** The service's own schema, created when it is missing: a letter, then letters, digits and underscores. */
  readonly schema: string;
  readonly entities: NonNullable<Options['entities']>;
  readonly migrations: readonly MigrationEntry[];
  /** Connections at most, at least 2, or 4 with `asks`. */
  readonly poolMax: number;
  /** Three of eight connections are for `ask`, for a service that is asked as much as it writes. Default false. */
  readonly asks?: boolean;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** Create the database when the server has none of that name. Default false. */
  readonly createDatabase?: boolean;
  /** How long opening waits for a server that is away. Default 30,000. */
  readonly waitMs?: number;
  /** How long a call waits for a connection. Default 5,000. */
  readonly connectMs?: number;
  /** After which the server cancels a statement. Default 30,000. */
  readonly statementMs?: number;
  /** Server settings of its connections, such as `enable_sort`: names and values without blanks. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Within a transaction: both see, and are part of, what the other does. */
export interface StoreTransaction {
  readonly em: EntityManager;
  query<T extends object>(sql: string, params?: readonly unknown[]): Promise<T[]>;
}

/**
 * Every method but `fork` rejects with unavailable DATABASE_AWAY while PostgreSQL cannot be reached, and works
 * again by itself afterwards. What a forked entity manager throws is told apart by `isStoreAway`.
 */
export interface Store {
  /** A fresh entity manager: one per message or call, never shared. */
  fork(): EntityManager;
  /** `work` with a fresh entity manager, errors translated. */
  run<T>(work: (em: EntityManager) => Promise<T>): Promise<T>;
  /** One statement with $1.. parameters, outside any transaction. int8 comes as number, timestamptz as text, bytea as Buffer. */
  query<T extends object>(sql: string, params?: readonly unknown[]): Promise<T[]>;
  /**
   * The same for questions whose texts are few; with `asks` on connections that keep the plans of what they were asked, of
   * which one asker (an org) never has the last. Rejects with resource_exhausted STORE_BUSY when too many of one wait.
   */
  ask<T extends object>(who: string, sql: string, params?: readonly unknown[]): Promise<T[]>;
  /**
   * Inserts rows in bulk, all or nothing, and much cheaper than a statement could; the table is of the own schema. What
   * `also` has is done behind them in the same transaction.
   */
  copy<Row>(
    table: string,
    columns: readonly CopyColumn<Row>[],
    rows: readonly Row[],
    also?: readonly Statement[],
  ): Promise<void>;
  /** All or nothing; when `work` rejects, everything is undone and the same error comes out. */
  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T>;
  /** SQL that would bring the tables in line with the entities; empty when they agree. For tests of migrations. */
  drift(): Promise<string>;
  /** One round trip. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

const OPEN_BACKOFF: BackoffPolicy = { initialMs: 100, maxMs: 2000 };
const SCHEMA_NAME = /^[a-z][a-z0-9_]{0,62}$/;
let opened = 0;

/** Connects, creates the schema and migrates it under an advisory lock; two replicas may open at the same time. */
export async function openStore(options: StoreOptions): Promise<Store> {
  if (!SCHEMA_NAME.test(options.schema)) throw new RangeError(`not a schema name: ${options.schema}`);
  const started = performance.now();
  for (let attempt = 0; ; attempt++) {
    try {
      return await openOnce(options);
    } catch (error) {
      const left = (options.waitMs ?? 30_000) - (performance.now() - started);
      if (!isStoreAway(error) || left <= 0) throw asStoreError(error);
      await pause(Math.min(left, backoffMs(OPEN_BACKOFF, attempt)));
    }
  }
}

async function openOnce(options: StoreOptions): Promise<Store> {
  let pool: ClientPool | undefined;
  const created = (made: ClientPool) => {
    pool = made;
  };
  const orm = await MikroORM.init(ormOptions(options, options.url, created));
  try {
    try {
      await rawQuery(orm.em.getKysely(), 'select 1');
    } catch (error) {
      if (options.createDatabase !== true || (error as { code?: unknown }).code !== '3D000') throw error;
      await createDatabase(options);
    }
    await migrate(orm, options.schema, options.migrations.length);
  } catch (error) {
    await orm.close(true);
    throw error;
  }
  invariant(pool !== undefined, 'the driver has made its pool');
  return storeOn(
    orm,
    pool,
    options.asks === true ? new Questions(pool, connectionsOf(options).asking) : undefined,
  );
}

async function drift(orm: MikroORM): Promise<string> {
  const own = String(orm.config.get('schema'));
  const others = await rawQuery<{ name: string }>(
    orm.em.getConnection().getClient(),
    `select nspname as name from pg_namespace where nspname <> $1`,
    [own],
  );
  // The diff sees the other services' schemas and would drop them.
  orm.config.set('schemaGenerator', { ignoreSchema: others.map((o) => o.name), skipTables: ['migrations'] });
  const sql = await orm.schema.getUpdateSchemaSQL({ wrap: false, schema: own });
  const statements = sql.split(';\n').map((statement) => statement.trim());
  // Foreign keys, checks and triggers are in the migrations only: entities name the other row by its id.
  const guards = /^drop (trigger|function) |drop constraint "\w+_(fk(ey)?|check)";?$/;
  return statements.filter((s) => s !== '' && !guards.test(s)).join('\n');
}

function storeOn(orm: MikroORM, pool: ClientPool, questions: Questions | undefined): Store {
  const translated = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw asStoreError(error);
    }
  };
  const query: Store['query'] = (sql, params) =>
    translated(() => rawQuery(orm.em.getConnection().getClient(), sql, params));
  return {
    fork: () => orm.em.fork(),
    run: (work) => translated(() => work(orm.em.fork())),
    query,
    ask: (who, sql, params = []) =>
      questions === undefined ? query(sql, params) : translated(() => questions.ask(who, sql, params)),
    copy: (table, columns, rows, also) => translated(() => copyRows(pool, table, columns, rows, also)),
    transaction: (work) =>
      translated(() =>
        orm.em.fork().transactional((em) => {
          const kysely = em.getKysely();
          return work({ em, query: (sql, params) => rawQuery(kysely, sql, params) });
        }),
      ),
    drift: () => drift(orm),
    ping: () => translated(async () => void (await rawQuery(orm.em.getConnection().getClient(), 'select 1'))),
    close: async () => {
      await questions?.close();
      await orm.close(true);
    },
  };
}

function connectionsOf({ poolMax, asks }: StoreOptions): {
  readonly writing: number;
  readonly asking: number;
} {
  const asking = asks === true ? Math.max(2, Math.floor((poolMax * 3) / 8)) : 0;
  return { writing: Math.max(2, poolMax - asking), asking };
}

/** A Kysely instance, or a transaction of one. */
interface Executor {
  executeQuery(query: CompiledQuery): Promise<{ rows: unknown[] }>;
}

/** Parameters travel apart from the text; `em.execute` would write them into it. */
async function rawQuery<T>(kysely: Executor, sql: string, params: readonly unknown[] = []): Promise<T[]> {
  const result = await kysely.executeQuery(CompiledQuery.raw(sql, [...params]));
  return result.rows as T[];
}

function ormOptions(o: StoreOptions, url: string, created: (pool: ClientPool) => void = () => {}): Options {
  const settings = Object.entries(o.settings ?? {})
    .map(([name, value]) => ` -c ${name}=${value}`)
    .join('');
  return {
    clientUrl: url,
    schema: o.schema,
    entities: o.entities,
    discovery: { warnWhenNoEntities: false },
    // Several stores live in one process, even of one service, and transactions are found by this name.
    contextName: `${o.schema}-${++opened}`,
    ensureDatabase: false,
    logger: () => undefined,
    extensions: [Migrator],
    migrations: {
      migrationsList: o.migrations.map(({ name, class: step }) => ({ name, class: unhurried(step) })),
      tableName: 'migrations',
      snapshot: false,
      allOrNothing: true,
    },
    pool: { min: 0, max: connectionsOf(o).writing, idleTimeoutMillis: 30_000 },
    driverOptions: {
      application_name: o.applicationName,
      keepAlive: true,
      connectionTimeoutMillis: o.connectMs ?? 5000,
      statement_timeout: o.statementMs ?? 30_000,
      idle_in_transaction_session_timeout: 60_000,
      options: `-c search_path=${o.schema}${settings}`,
      onPoolCreated: (pool: ClientPool) => {
        guardPool(pool);
        created(pool);
      },
    },
  };
}

async function createDatabase(o: StoreOptions): Promise<void> {
  const url = new URL(o.url);
  const name = decodeURIComponent(url.pathname.slice(1));
  if (!/^[\w-]{1,63}$/.test(name))
    throw new FleetwireError('invalid_argument', 'INVALID_CONFIG', 'odd database name');
  url.pathname = '/postgres';
  const orm = await MikroORM.init({ ...ormOptions(o, url.href), entities: [] });
  try {
    await rawQuery(orm.em.getKysely(), `create database "${name}"`);
  } catch (error) {
    // Another replica was first: duplicate_database, or the unique index of the catalogue.
    if (!['42P04', '23505'].includes(String((error as { code?: unknown }).code))) throw error;
  } finally {
    await orm.close(true);
  }
}
