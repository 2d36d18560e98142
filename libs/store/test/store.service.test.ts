/**
 * Goal: schemas stay apart and complete with two replicas opening at once, and a killed PostgreSQL costs errors, not the
 * store. Method: a real server, killed with SIGKILL and started again on the same folder.
 */

import assert from 'node:assert/strict';
import {
  errorOf,
  eventually,
  reasonOf,
  startOwnPostgres,
  startTestPostgres,
  type TestPostgres,
} from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { isConflict, Migration, openStore, type Store, type StoreOptions } from '../src/index.ts';
import { Thing, thingMigrations } from './fixture.ts';

const base = { entities: [Thing], migrations: thingMigrations, poolMax: 3, applicationName: 'test' };

describe('a store', () => {
  let postgres: TestPostgres;
  const open: Store[] = [];
  const opened = async (o: Partial<StoreOptions> = {}) => {
    const store = await openStore({ ...base, url: postgres.url, schema: 'things', ...o });
    open.push(store);
    return store;
  };
  before(async () => {
    postgres = await startTestPostgres();
  });
  after(async () => {
    for (const store of open) await store.close();
    await postgres[Symbol.asyncDispose]();
  });

  it('is migrated once when four replicas open at the same time, and matches its entities', async () => {
    const stores = await Promise.all(Array.from({ length: 4 }, () => opened()));
    assert.deepEqual(await stores[0]!.query('select name from migrations'), [{ name: '001-things' }]);
    assert.equal(await stores[0]!.drift(), '');
  });

  it('lets a migration take longer than a statement of the service may', async () => {
    class Slow extends Migration {
      override up(): void {
        this.addSql('select pg_sleep(2)');
      }
    }
    const migrations = [...thingMigrations, { name: '002-slow', class: Slow }];
    const store = await opened({ schema: 'slow', migrations, statementMs: 1000 });
    assert.equal((await store.query('select name from migrations')).length, 2);
    assert.equal(await reasonOf(store.query('select pg_sleep(2)')), 'DATABASE_TIMEOUT');
  });

  it('keeps schemas of one database apart', async () => {
    const [a, b] = await Promise.all([opened({ schema: 'one' }), opened({ schema: 'two' })]);
    await a.query('insert into things (id) values ($1)', ['only-in-one']);
    assert.equal(await b.run((em) => em.count(Thing)), 0);
    assert.equal(await a.drift(), '');
  });

  it('sends values as parameters and gives int8 as numbers', async () => {
    const store = await opened({ schema: 'params' });
    const hostile = `'; drop table things; --`;
    await store.query('insert into things (id, count) values ($1, $2)', [hostile, 1_700_000_000_000_000]);
    assert.deepEqual(await store.query('select * from things'), [
      { id: hostile, count: 1_700_000_000_000_000 },
    ]);
  });

  it('undoes a transaction that throws, and lets the error through', async () => {
    const store = await opened({ schema: 'undo' });
    const attempt = store.transaction(async (tx) => {
      await tx.query(`insert into things (id) values ('a')`);
      await tx.em.insert(Thing, { id: 'b' });
      throw new RangeError('mine');
    });
    await assert.rejects(attempt, RangeError);
    assert.deepEqual(await store.query('select count(*) from things'), [{ count: 0 }]);
    await store.query(`insert into things (id) values ('a')`);
    await assert.rejects(store.query(`insert into things (id) values ('a')`), (e) =>
      isConflict(e, 'things_pkey'),
    );
  });

  it('creates the database when told to, with two at once', async () => {
    const url = new URL(postgres.url);
    url.pathname += '_made';
    const o = { url: url.href, createDatabase: true };
    const [store] = await Promise.all([opened(o), opened(o)]);
    await store.ping();
    assert.equal(await reasonOf(opened({ url: `${url.href}_not` })), 'DATABASE_REFUSED');
    for (const s of open.splice(-2)) await s.close();
    await (await opened()).query(`drop database "${url.pathname.slice(1)}" with (force)`);
  });

  it('survives kills of PostgreSQL in the middle of transactions without losing connections of its pool', async () => {
    await using own = await startOwnPostgres();
    const store = await openStore({ ...base, url: own.url, schema: 'things', statementMs: 5000 });
    for (let round = 0; round < base.poolMax + 1; round++) {
      const during = store.transaction(async (tx) => {
        await tx.query('select 1');
        await own.kill();
        // A backend outlives its postmaster for a moment and may still answer.
        throw await eventually(() => errorOf(tx.query('select 1')));
      });
      assert.equal(await reasonOf(during), 'DATABASE_AWAY');
      assert.equal(await reasonOf(store.ping()), 'DATABASE_AWAY');
      assert.equal(await reasonOf(store.run((em) => em.count(Thing))), 'DATABASE_AWAY');
      assert.equal(await reasonOf(store.transaction((tx) => tx.query('select 1'))), 'DATABASE_AWAY');
      await own.restart();
      assert.deepEqual(await store.query('select 1 as one'), [{ one: 1 }]);
    }
    await store.close();
  });

  it('answers questions on connections of their own, planned once, while all others are taken', async () => {
    const store = await opened({ schema: 'asked', poolMax: 4, asks: true });
    await store.query('insert into things (id, count) values ($1, $2)', ['a', 1_700_000_000_000_000]);
    const question = 'select * from things where id = $1';
    const release = Promise.withResolvers<void>();
    const taken = [1, 2].map(() => store.transaction(() => release.promise));
    for (const id of ['a', 'a', 'b'])
      assert.deepEqual(
        await store.ask('org', question, [id]),
        id === 'a' ? [{ id, count: 1_700_000_000_000_000 }] : [],
      );
    const plans = 'select statement, generic_plans from pg_prepared_statements where statement = $1';
    assert.deepEqual(await store.ask('org', plans, [question]), [{ statement: question, generic_plans: 3 }]);
    await assert.rejects(store.ask('org', 'select no_such_column from things'), /no_such_column/);
    release.resolve();
    await Promise.all(taken);
  });

  it('survives a kill of PostgreSQL in the middle of questions', async () => {
    await using own = await startOwnPostgres();
    const store = await openStore({ ...base, url: own.url, schema: 'things', asks: true });
    const during = store.ask('org', 'select pg_sleep(60)');
    const asked = `select from pg_stat_activity where query = 'select pg_sleep(60)'`;
    await eventually(async () => (await store.query(asked)).length === 1);
    await own.kill();
    assert.equal(await reasonOf(during), 'DATABASE_AWAY');
    assert.equal(await reasonOf(store.ask('org', 'select 1 as one')), 'DATABASE_AWAY');
    await own.restart();
    for (let i = 0; i < 3; i++) assert.deepEqual(await store.ask('org', 'select 1 as one'), [{ one: 1 }]);
    await store.close();
  });

  it('waits at opening for a server that is away, as long as it was told', async () => {
    await using own = await startOwnPostgres();
    await own.kill();
    const o = { ...base, url: own.url, schema: 'things' };
    assert.equal(await reasonOf(openStore({ ...o, waitMs: 0 })), 'DATABASE_AWAY');
    const late = openStore({ ...o, waitMs: 20_000 });
    await own.restart();
    await (await late).close();
  });
});
