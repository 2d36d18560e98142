// Goal: the embedded PostgreSQL is a real server that keeps its data over a crash, as root and as an ordinary user.
// Method: start it in temporary folders, query it with the plain driver, kill it, start it again.

import { strict as assert } from 'node:assert';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';
import { startOwnPostgres, startTestPostgres, tempFolder } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { Client } from 'pg';
import { startPostgres } from '../src/index.ts';
import { identityOf } from '../src/process-identity.ts';

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

describe('startPostgres', function () {
  this.timeout(60_000);

  it('keeps what was committed over kill -9, under the same password', async () => {
    await using postgres = await startOwnPostgres({});
    const { url } = postgres;
    await query(url, 'create table t as select 42 as answer');
    const { pid, exited } = postgres.server;
    process.kill(pid, 'SIGKILL');
    await exited;
    await postgres.restart();
    assert.equal(postgres.url, url);
    assert.deepEqual(await query(url, 'select answer from t'), [{ answer: 42 }]);
  });

  it('listens on 127.0.0.1 only and asks for the password', async () => {
    await using postgres = await startOwnPostgres();
    const [row] = await query(
      postgres.url,
      `select setting from pg_settings where name = 'listen_addresses'`,
    );
    assert.equal(row?.['setting'], '127.0.0.1');
    const wrong = new URL(postgres.url);
    wrong.password = 'wrong';
    await assert.rejects(query(wrong.href, 'select 1'), /password authentication failed/);
  });

  it('keeps the password file to its user and never runs as root', async () => {
    await using folder = tempFolder();
    const dir = join(folder.path, 'pg');
    const port = await import('../src/index.ts').then((m) => m.freePort());
    const server = await startPostgres({ dir, port, database: 'x' });
    try {
      assert.equal(statSync(join(dir, 'password')).mode & 0o777, 0o600);
      assert.notEqual(statSync(join(dir, 'data')).uid, 0);
      const taken = startPostgres({ dir: join(folder.path, 'other'), port, database: 'x' });
      await assert.rejects(taken, (e) => e instanceof FleetwireError && e.reason === 'PORT_IN_USE');
      const twice = startPostgres({ dir, port, database: 'x' });
      await assert.rejects(twice, (e) => e instanceof FleetwireError && e.reason === 'FOLDER_LOCKED');
    } finally {
      await server.stop();
    }
    assert.equal(identityOf(server.pid), undefined);
    assert.ok(!readdirSync(dir).includes('child.json'));
  });

  it('names the folder that its user may not pass', async function () {
    if (process.getuid?.() !== 0) this.skip();
    await using folder = tempFolder();
    const closed = join(folder.path, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    const start = startPostgres({ dir: join(closed, 'pg'), port: 1, database: 'x' });
    await assert.rejects(start, (e) => {
      assert.ok(e instanceof FleetwireError && e.reason === 'FOLDER_UNREACHABLE');
      return e.details['blocked'] === closed;
    });
  });

  it('throws a half-made data folder away and makes it whole', async () => {
    await using folder = tempFolder();
    mkdirSync(join(folder.path, 'data.new', 'base'), { recursive: true });
    const { freePort } = await import('../src/index.ts');
    const server = await startPostgres({ dir: folder.path, port: await freePort(), database: 'x' });
    await server.stop();
    assert.ok(!existsSync(join(folder.path, 'data.new')));
  });
});

describe('startTestPostgres', function () {
  this.timeout(60_000);

  it('gives each caller a database of its own on one server, and drops it', async () => {
    await using a = await startTestPostgres();
    let url: string;
    {
      await using b = await startTestPostgres();
      url = b.url;
      assert.notEqual(a.database, b.database);
      assert.equal(new URL(a.url).port, new URL(b.url).port);
      await query(b.url, 'create table t (x int)');
      assert.deepEqual(await query(a.url, `select 1 from pg_tables where tablename = 't'`), []);
    }
    await assert.rejects(query(url, 'select 1'), /does not exist/);
  });
});
