/**
 * Goal: a bulk insert stores just what it was given, all of it or nothing, and a failure costs neither the process nor a
 * connection. Method: a real server; generated rows are read back; rows that break a constraint early and late in a
 * payload of megabytes; its server process killed in the middle.
 */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import type { FleetwireError } from '@fleetwire/kernel';
import { eventually, startOwnPostgres, startTestPostgres, type TestPostgres } from '@fleetwire/testkit';
import fc from 'fast-check';
import { after, before, beforeEach, describe, it } from 'mocha';
import { type CopyColumn, isConflict, openStore, type Store } from '../src/index.ts';
import { Thing, thingMigrations } from './fixture.ts';

interface Row {
  readonly id: string;
  readonly small: number;
  readonly large: number;
  readonly yes: boolean;
  readonly bytes: Uint8Array;
}

const COLUMNS: readonly CopyColumn<Row>[] = [
  { name: 'id', type: 'text', value: (row) => row.id },
  { name: 'small', type: 'int2', value: (row) => row.small },
  { name: 'large', type: 'int8', value: (row) => row.large },
  { name: 'yes', type: 'bool', value: (row) => row.yes },
  { name: 'bytes', type: 'bytea', value: (row) => row.bytes },
];
const TABLE =
  'create table rows (id text primary key, small smallint not null, large bigint not null, yes boolean, bytes bytea)';
/** Stops the server in the middle of the payload. */
const STOPPING = `create function stopping() returns boolean language sql as 'select true from pg_sleep(60)'`;
const COPYING = `select pid from pg_stat_activity where query like 'copy%' and state = 'active'`;
const CONNECTIONS = `select pid from pg_stat_activity where backend_type = 'client backend'`;
const base = { entities: [Thing], migrations: thingMigrations, applicationName: 'test', schema: 'copied' };

const rowOf = (id: string, bytes = 0): Row => ({
  id,
  small: 1,
  large: 2,
  yes: true,
  bytes: new Uint8Array(bytes),
});

describe('a bulk insert', function () {
  this.timeout(60_000);
  let postgres: TestPostgres;
  let store: Store;
  before(async () => {
    postgres = await startTestPostgres();
    store = await openStore({ ...base, url: postgres.url, poolMax: 2 });
    await store.query(TABLE);
  });
  beforeEach(() => store.query('truncate rows'));
  after(async () => {
    await store.close();
    await postgres[Symbol.asyncDispose]();
  });

  it('gives back what it was given', async () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 90 }).map((it) => it.replaceAll('\0', ''));
    const row = fc.record({
      id: text,
      small: fc.integer({ min: -32_768, max: 32_767 }),
      large: fc.maxSafeInteger(),
      yes: fc.boolean(),
      bytes: fc.uint8Array({ maxLength: 2000 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(row, { selector: (it) => it.id, maxLength: 30 }), async (rows) => {
        await store.query('truncate rows');
        await store.copy('rows', COLUMNS, rows);
        const read = await store.query<Row>('select * from rows');
        assert.deepEqual(
          sorted(read.map((it) => ({ ...it, bytes: new Uint8Array(it.bytes) }))),
          sorted(rows.map((it) => ({ ...it, bytes: new Uint8Array(it.bytes) }))),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('stores nothing when one row breaks a constraint, and keeps its connections', async () => {
    await store.copy('rows', COLUMNS, [rowOf('there')]);
    for (const at of [0, 40, 80]) {
      for (let round = 0; round < 3; round++) {
        const rows = Array.from({ length: 80 }, (_, i) => rowOf(`${i}`, 100_000));
        rows.splice(at, 0, rowOf('there'));
        await assert.rejects(store.copy('rows', COLUMNS, rows), (error) => isConflict(error, 'rows_pkey'));
      }
    }
    assert.deepEqual(await store.query('select count(*) from rows'), [{ count: 1 }]);
    await Promise.all(Array.from({ length: 4 }, (_, i) => store.copy('rows', COLUMNS, [rowOf(`more ${i}`)])));
    assert.deepEqual(await store.query('select count(*) from rows'), [{ count: 5 }]);
  });

  it('takes statements into its transaction: all of it or nothing, and connections stay usable', async () => {
    const set = (id: string) => ({ sql: 'update rows set small = 9 where id = $1', params: [id] });
    await store.copy('rows', COLUMNS, [rowOf('one'), rowOf('two')], [set('one'), set('two')]);
    const smalls = () => store.query<{ small: number }>('select small from rows order by id');
    assert.deepEqual(await smalls(), [{ small: 9 }, { small: 9 }]);
    const wrong = { sql: 'update rows set small = 100000', params: [] };
    for (let round = 0; round < 3; round++) {
      await assert.rejects(store.copy('rows', COLUMNS, [rowOf('three')], [set('three'), wrong]));
      await assert.rejects(store.copy('rows', COLUMNS, [rowOf('four'), rowOf('one')], [set('two')]));
    }
    await store.copy('rows', COLUMNS, [rowOf('three')]);
    assert.deepEqual(await smalls(), [{ small: 9 }, { small: 1 }, { small: 9 }]);
  });

  it('refuses a number that a column cannot hold, before anything is sent', async () => {
    for (const bad of [{ large: 2 ** 53 }, { large: Number.NaN }, { small: 40_000 }])
      await assert.rejects(store.copy('rows', COLUMNS, [{ ...rowOf('bad'), ...bad }]), RangeError);
    assert.deepEqual(await store.query('select count(*) from rows'), [{ count: 0 }]);
  });

  it('says so when its connection dies meanwhile, and works again afterwards', async () => {
    await using own = await startOwnPostgres({});
    const open = () => openStore({ ...base, url: own.url, poolMax: 2 });
    const first = await open();
    for (const sql of [TABLE, STOPPING, `alter table rows add check (id <> 'stop' or stopping())`])
      await first.query(sql);
    await first.close();
    for (let round = 0; round < 3; round++) {
      const mine = await open();
      const rows = Array.from({ length: 300 }, (_, i) =>
        rowOf(i === 100 ? 'stop' : `${round} ${i}`, 100_000),
      );
      const during = mine.copy('rows', COLUMNS, rows).then(
        () => 'none',
        (error: FleetwireError) => error.reason,
      );
      const [backend] = await eventually(async () => {
        const found = await mine.query<{ pid: number }>(COPYING);
        return found.length > 0 ? found : undefined;
      });
      const connections = await mine.query<{ pid: number }>(CONNECTIONS);
      process.kill(backend!.pid, 'SIGKILL');
      assert.equal(await during, 'DATABASE_AWAY');
      // The server ends all its connections, recovers and takes new ones by itself.
      await eventually(() => connections.every(({ pid }) => !existsSync(`/proc/${pid}`)));
      await eventually(() => mine.query('select 1'));
      await mine.copy('rows', COLUMNS, [rowOf(`after ${round}`)]);
      assert.deepEqual(await mine.query('select count(*) from rows'), [{ count: round + 1 }]);
      await mine.close();
    }
  });
});

function sorted(rows: readonly Row[]): Row[] {
  return [...rows].sort((a, b) => (a.id < b.id ? -1 : 1));
}
