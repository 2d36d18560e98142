// Goal: whoever has the proto files and a gRPC library can take part: register, send, follow, acknowledge, be refused.
// Method: a client in Python, with the packages of Debian and code made by their compiler, against `up` and a node; the
// guide for other languages says the same, word for word, and its commands are the ones that are run here.

import { strict as assert } from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { tempFolder } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type Home, openHome } from '../fabric/command-line.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const GUIDE = readFileSync(join(ROOT, 'docs/guides/other-languages.md'), 'utf8');
const SCRIPT = 'test/compat/python/client.py';
const PYTHON = '/usr/bin/python3';

const blocks = (language: string): string[] =>
  [...GUIDE.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, text]) => text!);

/** What is missing here; undefined: nothing. */
function missing(): string | undefined {
  if (!existsSync(PYTHON)) return PYTHON;
  if (spawnSync(PYTHON, ['-c', 'import grpc, google.protobuf']).status !== 0) return 'python3-grpcio';
  for (const [program, name] of [
    ['protoc', 'protobuf-compiler'],
    ['grpc_python_plugin', 'protobuf-compiler-grpc'],
  ] as const)
    if (spawnSync('which', [program]).status !== 0) return name;
  return undefined;
}

/** A machine of CI has to have all: deploy/setup-compat.sh installs it. */
const required = () => (childEnvironment().CI ?? '') !== '';

describe('a client in Python', function () {
  this.timeout(180_000);
  let home: Home | undefined;
  const folder = tempFolder('compat');

  before(async function () {
    const lacks = missing();
    if (lacks !== undefined) {
      assert.ok(!required(), `${lacks} is missing: run deploy/setup-compat.sh`);
      console.log(`      skipped: ${lacks} is not installed here, see deploy/setup-compat.sh`);
      this.skip();
    }
    home = openHome();
    await home.ok('up', '--detach');
    await home.ok('node', 'start', 'laptop', '--detach');
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') home?.keep();
  });
  after(async () => {
    await home?.[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  function shell(script: string): Promise<string> {
    const data = join(home!.path, 'data', 'nodes', 'laptop');
    const env = childEnvironment({ OUT: folder.path, NODE_FOLDER: data, PYTHONDONTWRITEBYTECODE: '1' });
    const child = spawn('bash', ['-c', `set -euo pipefail\n${script}`], { cwd: ROOT, env, timeout: 120_000 });
    const said = { out: '', err: '' };
    for (const name of ['out', 'err'] as const)
      child[`std${name}`].setEncoding('utf8').on('data', (text: string) => {
        said[name] += text;
      });
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) =>
        code === 0 ? resolve(said.out) : reject(new Error(`${code}: ${said.err}`)),
      );
    });
  }

  it('does all that the guide says, by its commands', async () => {
    const said = await shell(blocks('sh').join('\n'));
    const found = JSON.parse(said.trim().split('\n').at(-1)!);
    assert.equal(found.serving, true);
    assert.deepEqual([found.agent.name, found.agent.node], ['py-bob', 'laptop']);
    assert.deepEqual([found.texts, found.same], [['one', 'two', 'three'], true]);
    assert.deepEqual(found.stages, Array(3).fill('STAGE_CONFIRMED'));
    assert.deepEqual(found.ack, { reason: 'ACK_UNKNOWN', highest: true });
    assert.deepEqual(found.again, ['five', true]);
    assert.deepEqual(found.waited, [true, 'STAGE_CONFIRMED']);
    assert.deepEqual(found.later, Array(2).fill('STAGE_CONFIRMED'));
    assert.equal(found.goodbye, 'SUPERSEDED');
    assert.deepEqual([found.refused.code, found.refused.reason], ['INVALID_ARGUMENT', 'INVALID_ADDRESS']);
    assert.notEqual(found.refused.help, '');
    assert.deepEqual([found.no_token.code, found.no_token.reason], ['UNAUTHENTICATED', 'TOKEN_MISSING']);
    const inStream = { ref: 9, kind: 'invalid_argument', reason: 'INVALID_ADDRESS' };
    assert.deepEqual(found.refused_in_stream, inStream);
    assert.deepEqual([found.huge.code, found.huge.reason], ['INVALID_ARGUMENT', 'MESSAGE_UNREADABLE']);
    // Both are agents like any other.
    const { agents } = await home!.ok('who');
    const names = agents.map((agent: { name: string }) => agent.name);
    assert.ok(names.includes('py-bob') && names.includes('py-alice'), names.join());
  });
});

describe('the guide for other languages', () => {
  it('shows what is run', () => {
    const script = readFileSync(join(ROOT, SCRIPT), 'utf8');
    const shown = blocks('python');
    assert.ok(shown.length > 3);
    for (const block of shown) assert.ok(script.includes(block), `${SCRIPT} has no such lines:\n${block}`);
    assert.ok(blocks('sh').join('').includes(SCRIPT));
  });
});
