// Goal: keys are rotated from the command line, once for each time it is asked for, and never in a wrong place.
// Method: the command as people run it, in home folders of its own; trust.json tells what it did.

import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { loadTrust } from '@fleetwire/identity';
import { tempFolder } from '@fleetwire/testkit';
import { describe, it } from 'mocha';

const CLI = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/** With --json: the one document, or the error's reason. */
async function bootstrap(home: string, ...args: string[]) {
  const child = spawn(process.execPath, [CLI, 'bootstrap', '--json', ...args], {
    env: childEnvironment({ FLEETWIRE_HOME: home }),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const document = JSON.parse(await text(child.stdout));
  return { ...document, reason: document.error?.reason };
}

describe('bootstrap --rotate-keys', function () {
  this.timeout(60_000);

  it('gives a service another key, and drops the former ones only when told so', async () => {
    await using folder = tempFolder('rotate');
    const { keys } = await bootstrap(folder.path);
    const rotated = await bootstrap(folder.path, '--rotate-keys', 'org');
    assert.deepEqual([rotated.service, rotated.kid, rotated.former[0].kid], ['org', 'org.2', 'org']);
    assert.equal(rotated.former[0].believed_until_ms, rotated.active_from_ms + 48 * 3_600_000);
    const kids = async () => (await loadTrust(keys)).jwks.keys.map(({ kid }) => kid);
    assert.ok((await kids()).includes('org'));
    const leaked = await bootstrap(folder.path, '--rotate-keys', 'org', '--immediately');
    assert.deepEqual(leaked.former, [
      { kid: 'org', believed_until_ms: null },
      { kid: 'org.2', believed_until_ms: null },
    ]);
    assert.deepEqual(
      (await kids()).filter((kid) => kid?.startsWith('org')),
      ['org.3'],
    );
  });

  it('is refused where there are no keys, for a service without any, and in half', async () => {
    await using folder = tempFolder('rotate');
    assert.equal((await bootstrap(folder.path, '--rotate-keys', 'org')).reason, 'KEYS_MISSING');
    assert.equal((await bootstrap(folder.path, '--immediately')).reason, 'INVALID_USAGE');
    await bootstrap(folder.path);
    assert.equal((await bootstrap(folder.path, '--rotate-keys', 'nobody')).reason, 'TOKEN_KEY_UNKNOWN');
    assert.equal((await bootstrap(folder.path, '--rotate-keys', 'org', '--apply')).reason, 'INVALID_USAGE');
  });
});
