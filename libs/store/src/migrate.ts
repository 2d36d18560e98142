/** Brings a schema up to date, one process at a time: a session-wide advisory lock makes the others wait. */

import { Migration } from '@mikro-orm/migrations';
import type { MikroORM } from '@mikro-orm/postgresql';
import { CompiledQuery } from 'kysely';

export interface MigrationEntry {
  /** Stable and unique; order in the list is the order of execution. */
  readonly name: string;
  readonly class: new (...args: ConstructorParameters<typeof Migration>) => Migration;
}

type MigrationClass = MigrationEntry['class'];

/** The same step without the time-out of a service's own statements: an index on a large table takes its time. */
export function unhurried(step: MigrationClass): MigrationClass {
  return class extends Migration {
    override async up(): Promise<void> {
      this.addSql('set local statement_timeout = 0');
      const inner = new step(this.driver, this.config);
      await inner.up();
      for (const query of inner.getQueries()) this.addSql(query);
    }
  };
}

/** First key of the advisory lock; one number for all services, since `create schema` races as well. */
const LOCK_SPACE = 0x66_77;

/**
 * Creates the schema and runs what has not run yet. Holds one connection for the lock while the migrations
 * use another, so the pool must have two. A process that dies in between frees the lock with its connection.
 */
export async function migrate(orm: MikroORM, schema: string, migrations: number): Promise<void> {
  await orm.em
    .fork()
    .getKysely()
    .connection()
    .execute(async (connection) => {
      const run = (sql: string, params: unknown[] = []) =>
        connection.executeQuery(CompiledQuery.raw(sql, params));
      await run('set statement_timeout = 0');
      await run('select pg_advisory_lock($1, 0)', [LOCK_SPACE]);
      try {
        await run(`create schema if not exists "${schema}"`);
        if (migrations > 0) await orm.migrator.up();
      } finally {
        await run('select pg_advisory_unlock($1, 0)', [LOCK_SPACE]).catch(() => undefined);
        await run('reset statement_timeout').catch(() => undefined);
      }
    });
}
