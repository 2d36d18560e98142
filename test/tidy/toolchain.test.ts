// Goal: what the tools check stays clean, and generated code is what the protos say.
// Method: run each tool as a developer would, over the whole tree.

import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'mocha';

function run(command: string, args: readonly string[]): void {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  assert.equal(
    result.status,
    0,
    `${command} ${args.join(' ')}\n${result.stdout}${result.stderr}`.slice(0, 8000),
  );
}

/** Every file below `folder` with its text, by path from it. */
function tree(folder: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) files.set(path.slice(folder.length + 1), readFileSync(path, 'utf8'));
  }
  return files;
}

describe('toolchain', () => {
  it('type-checks', () => run('tsc', ['-p', 'tsconfig.json']));
  it('is formatted and free of lint (biome)', () => run('biome', ['ci', '--error-on-warnings', '.']));
  it('leaves no promise floating and no import cycle (oxlint)', () => run('oxlint', []));
  it('has clean protos (buf lint)', () => run('buf', ['lint']));
  it('has reference pages that are fresh', () => run('node', ['docs/reference/generate.ts', '--check']));
  it('has generated code that is fresh', () => {
    const folder = mkdtempSync(join(tmpdir(), 'fleetwire-gen-'));
    try {
      run('buf', ['generate', '--output', folder]);
      assert.deepEqual(tree(join(folder, 'libs/gen/src/fleetwire')), tree('libs/gen/src/fleetwire'));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
