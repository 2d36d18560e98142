// Goal: a child nats-server comes up with JetStream, fails with typed errors, and leaves nothing behind.
// Method: start real servers on free ports in temporary folders; break the configuration, the port, the binary.

import { strict as assert } from 'node:assert';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';
import { plainConfig, startTestNats, tempFolder } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { isRunning, startNatsServer } from '../src/index.ts';
import { identityOf } from '../src/process-identity.ts';

const rejectsWith = (reason: string) => (error: unknown) =>
  error instanceof FleetwireError && error.kind === 'failed_precondition' && error.reason === reason;

describe('startNatsServer', () => {
  it('starts on a free port, tells version and url, and is gone after disposal', async () => {
    let pid: number;
    let dir: string;
    {
      await using nats = await startTestNats();
      ({ pid } = nats.server);
      dir = nats.dir;
      assert.match(nats.server.version, /^\d+\.\d+\.\d+/);
      assert.equal(nats.url, `nats://127.0.0.1:${nats.port}`);
      assert.ok(identityOf(pid));
    }
    assert.equal(identityOf(pid), undefined);
    assert.ok(!existsSync(dir));
  });

  it('comes back on the same port after a kill', async () => {
    await using nats = await startTestNats();
    const { port } = nats;
    const before = identityOf(nats.server.pid)!;
    await nats.kill();
    assert.deepEqual(await nats.server.exited, { code: null, signal: 'SIGKILL' });
    assert.ok(!isRunning(before));
    await nats.restart();
    assert.equal(nats.server.port, port);
  });

  it('says PORT_IN_USE', async () => {
    await using nats = await startTestNats();
    await using folder = tempFolder();
    const configFile = join(folder.path, 'nats.conf');
    writeFileSync(configFile, plainConfig({ dir: folder.path, port: nats.port }));
    const binary = process.env['FLEETWIRE_NATS_SERVER'];
    const start = startNatsServer({ binary, configFile, dir: folder.path });
    await assert.rejects(start, rejectsWith('PORT_IN_USE'));
  });

  it('says NATS_SERVER_MISSING and what to install', async () => {
    await using folder = tempFolder();
    const o = { binary: join(folder.path, 'no-such-server'), configFile: 'x', dir: folder.path };
    await assert.rejects(startNatsServer(o), (error) => {
      assert.ok(rejectsWith('NATS_SERVER_MISSING')(error));
      assert.match((error as FleetwireError).help!, /(apt-get|brew) install nats-server/);
      return true;
    });
  });

  it('shows the end of the log when the configuration is bad', async () => {
    await using folder = tempFolder();
    const configFile = join(folder.path, 'nats.conf');
    writeFileSync(configFile, 'port: nonsense\n');
    const binary = process.env['FLEETWIRE_NATS_SERVER'];
    await assert.rejects(startNatsServer({ binary, configFile, dir: folder.path }), (error) => {
      assert.ok(rejectsWith('NATS_START_FAILED')(error));
      assert.match((error as Error).message, /nats\.conf:1/);
      return true;
    });
    assert.ok(!existsSync(join(folder.path, 'child.json')));
  });

  it('refuses a server without JetStream', async () => {
    await using folder = tempFolder();
    const configFile = join(folder.path, 'nats.conf');
    writeFileSync(configFile, 'host: 127.0.0.1\nport: -1\n');
    const binary = process.env['FLEETWIRE_NATS_SERVER'];
    const start = startNatsServer({ binary, configFile, dir: folder.path });
    await assert.rejects(start, rejectsWith('NATS_WITHOUT_JETSTREAM'));
  });
});
