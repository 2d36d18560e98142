// Goal: one process per data folder; after a crash the folder is taken over and what was left running in it is ended.
// Method: hold the lock in another real process, kill it, and look at what happens to its lock and its children.

import { strict as assert } from 'node:assert';
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';
import { eventually, plainConfig, tempFolder } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { findNatsServer, identityOf, isRunning, lockFolder } from '../src/index.ts';

const says = (reason: string) => (error: unknown) =>
  error instanceof FleetwireError && error.reason === reason;

const HOLDER = `
  import { lockFolder, startNatsServer } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)};
  const [dir, binary] = process.argv.slice(1);
  await lockFolder(dir);
  const server = binary ? await startNatsServer({ binary, configFile: dir + '/nats.conf', dir: dir + '/nats' }) : undefined;
  console.log('held ' + (server?.pid ?? 0));
  setInterval(() => undefined, 1000);
`;

/** Another process that holds `dir`, with a nats-server in it when `binary` is given; pid of that server. */
async function holder(dir: string, binary = ''): Promise<{ process: ChildProcess; server: number }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', HOLDER, dir, binary], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout!.on('data', (chunk) => {
    output += chunk;
  });
  const match = await eventually(() => /held (\d+)/.exec(output) ?? undefined);
  return { process: child, server: Number(match[1]) };
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
}

describe('lockFolder', () => {
  it('refuses a second holder in the same process until released', async () => {
    await using folder = tempFolder();
    const dir = join(folder.path, 'new', 'data');
    const lock = await lockFolder(dir);
    await assert.rejects(lockFolder(dir), (error) => {
      assert.ok(says('FOLDER_LOCKED')(error));
      return (error as FleetwireError).details['pid'] === String(process.pid);
    });
    await lock.release();
    await (await lockFolder(dir)).release();
    assert.ok(!existsSync(join(dir, 'lock.json')));
  });

  it('lets exactly one of many callers in', async () => {
    await using folder = tempFolder();
    writeFileSync(join(folder.path, 'lock.json'), JSON.stringify({ pid: 1, started: 'long ago', host: 'x' }));
    utimesSync(join(folder.path, 'lock.json'), 0, 0);
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => lockFolder(folder.path)));
    assert.equal(results.filter((r) => r.status === 'fulfilled').length, 1);
    for (const result of results) if (result.status === 'fulfilled') await result.value.release();
  });

  it('refuses while another process lives, takes over when it is dead, and ends what it left', async () => {
    await using folder = tempFolder();
    writeFileSync(join(folder.path, 'nats.conf'), plainConfig({ dir: folder.path, port: -1 }));
    const binary = findNatsServer(process.env['FLEETWIRE_NATS_SERVER'], process.env['PATH']);
    const other = await holder(folder.path, binary);
    try {
      await assert.rejects(lockFolder(folder.path), says('FOLDER_LOCKED'));
    } finally {
      await kill(other.process);
    }
    const orphan = identityOf(other.server);
    assert.ok(orphan, 'the server outlives its killed parent');
    const lock = await lockFolder(folder.path);
    assert.deepEqual(lock.endedOrphans, [{ name: 'nats-server', pid: other.server }]);
    assert.ok(!isRunning(orphan));
    await lock.release();
  });

  it('leaves a process alone that merely has the recorded pid', async () => {
    await using folder = tempFolder();
    const stranger = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)']);
    try {
      const dead = { pid: 999_999_999, started: 'x' };
      const record = {
        name: 'x',
        child: { pid: stranger.pid, started: 'then' },
        parent: dead,
        signals: ['SIGKILL'],
      };
      mkdirSync(join(folder.path, 'nats'));
      writeFileSync(join(folder.path, 'nats', 'child.json'), JSON.stringify(record));
      const lock = await lockFolder(folder.path);
      assert.deepEqual(lock.endedOrphans, []);
      assert.ok(identityOf(stranger.pid!));
      await lock.release();
    } finally {
      await kill(stranger);
    }
  });

  it('judges a holder on another host by when it last touched the lock', async () => {
    await using folder = tempFolder();
    const file = join(folder.path, 'lock.json');
    writeFileSync(file, JSON.stringify({ pid: process.pid, started: 'x', host: 'elsewhere' }));
    await assert.rejects(lockFolder(folder.path), says('FOLDER_LOCKED'));
    utimesSync(file, 0, 0);
    const lock = await lockFolder(folder.path);
    assert.equal(JSON.parse(readFileSync(file, 'utf8')).pid, process.pid);
    await lock.release();
  });

  it('does not touch the data of a later release', async () => {
    await using folder = tempFolder();
    writeFileSync(join(folder.path, 'format.json'), JSON.stringify({ format: 999 }));
    await assert.rejects(lockFolder(folder.path), says('FOLDER_FROM_NEWER_VERSION'));
    assert.ok(!existsSync(join(folder.path, 'lock.json')));
  });

  it('says FOLDER_NOT_WRITABLE', async () => {
    await using folder = tempFolder();
    writeFileSync(join(folder.path, 'file'), '');
    await assert.rejects(lockFolder(join(folder.path, 'file', 'below')), says('FOLDER_NOT_WRITABLE'));
  });
});
