// Goal: a result that cannot be written is no success; a reader that has gone is no failure. Help says what is true.
// Method: the command line as a process, with its output into a device that is full, or a pipe that nobody reads.

import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { type TempFolder, tempFolder } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

describe('the entry of the command line', () => {
  let home: TempFolder;
  before(() => {
    home = tempFolder('entry');
  });
  after(() => home[Symbol.asyncDispose]());
  const env = (more: Record<string, string> = {}) => childEnvironment({ FLEETWIRE_HOME: home.path, ...more });
  const run = (args: string[], more?: Record<string, string>) =>
    spawnSync(process.execPath, [MAIN, ...args], { env: env(more), encoding: 'utf8' });

  it('fails when its output cannot be written', () => {
    const full = openSync('/dev/full', 'w');
    try {
      const { status, stderr } = spawnSync(process.execPath, [MAIN, '--help'], {
        env: env(),
        encoding: 'utf8',
        stdio: ['ignore', full, 'pipe'],
      });
      assert.equal(status, 74);
      assert.match(stderr, /ENOSPC \(OUTPUT_UNWRITABLE\)/);
    } finally {
      closeSync(full);
    }
  });
  it('ends well when its reader has gone', () => {
    const script = '{ "$0" "$1" --help; echo "code $?" >&2; } | true';
    const { stderr } = spawnSync('bash', ['-c', script, process.execPath, MAIN], {
      env: env(),
      encoding: 'utf8',
    });
    assert.match(stderr, /^code 0$/m);
  });
  it('refuses an address to listen on that nobody can connect to', () => {
    for (const host of ['0.0.0.0', '::']) {
      const { status, stderr } = run(['up'], { FLEETWIRE_UP_HOST: host });
      assert.equal(status, 64, host);
      assert.match(stderr, /INVALID_CONFIG[\s\S]*192\.168/);
    }
  });
  it('reads no file without an end', () => {
    const { status, stderr } = run(['policy', 'create', '--file', '/dev/zero']);
    assert.equal(status, 64);
    assert.match(stderr, /FILE_UNREADABLE/);
  });
  it('says in its help what times and formats there are', () => {
    const token = run(['node', 'token', '--help']).stdout;
    assert.match(token, /1h when left out/);
    assert.doesNotMatch(token, /3600000/);
    assert.match(run(['audit', 'export', '--help']).stdout, /JSON lines: a line for each entry/);
    assert.match(run(['member', 'remove', '--help']).stdout, /machines that they\s+joined are\s+shut\s+out/);
  });
});
