// Goal: the source tree keeps its own rules: import floors, one door per technology, subjects only in the contract.
// Method: read every tracked or new source file and run the rules over it; then feed each rule a violation and see it found.

import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, it } from 'mocha';
import {
  doorFindings,
  floorFindings,
  type Manifest,
  manifestFindings,
  type SourceFile,
  shapeFindings,
  subjectFindings,
} from './source-tree.ts';

function sourceFiles(): SourceFile[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.ts'], {
    encoding: 'utf8',
  });
  return listed
    .split('\n')
    .filter((path) => path !== '' && !path.startsWith('libs/gen/'))
    .map((path) => ({ path, text: readFileSync(path, 'utf8') }));
}

function manifests(): Manifest[] {
  const listed = execFileSync('git', ['ls-files', '*/package.json'], { encoding: 'utf8' });
  return listed
    .split('\n')
    .filter((path) => path !== '' && path !== 'libs/gen/package.json')
    .map((path) => {
      const { dependencies = {}, devDependencies = {} } = JSON.parse(readFileSync(path, 'utf8'));
      return { folder: path.replace('/package.json', ''), dependencies, devDependencies };
    });
}

const none = (findings: string[]) => assert.deepEqual(findings, []);

describe('source tree', () => {
  const files = sourceFiles();

  it('has files to look at', () => assert.ok(files.length > 50));
  it('imports only downward', () => none(floorFindings(files)));
  it('writes subjects only in the contract', () => none(subjectFindings(files)));
  it('opens each outside technology by one door', () => none(doorFindings(files)));
  it('declares what it imports, and imports what it declares', () =>
    none(manifestFindings(files, manifests())));
  it('keeps files short, named, and opened by a sentence', () => none(shapeFindings(files)));
});

describe('the rules themselves', () => {
  const file = (path: string, text: string): SourceFile => ({ path, text: `/** A. */\n${text}\n` });

  it('find a service that imports another', () => {
    const bad = file('services/router/src/x.ts', `import { org } from '@fleetwire/org';`);
    assert.equal(floorFindings([bad]).length, 1);
    const byPath = file('services/router/src/x.ts', `import { org } from '../../org/src/service.ts';`);
    assert.equal(floorFindings([byPath]).length, 1);
    const dynamic = file('services/router/src/x.ts', `const o = await import('@fleetwire/delivery');`);
    assert.equal(floorFindings([dynamic]).length, 1);
  });
  it('find an import that runs up', () => {
    assert.equal(floorFindings([file('libs/kernel/src/x.ts', `import '@fleetwire/contract';`)]).length, 1);
    assert.equal(
      floorFindings([file('libs/broker/src/x.ts', `import { x } from '@fleetwire/rpc';`)]).length,
      1,
    );
  });
  it('find a subject written by hand', () => {
    assert.equal(
      subjectFindings([file('services/node/src/x.ts', `const s = 'fw.v1.ingress.' + p;`)]).length,
      1,
    );
    assert.equal(subjectFindings([file('libs/contract/src/x.ts', `const s = 'fw.v1.ingress.0';`)]).length, 0);
  });
  it('find a second door', () => {
    assert.equal(
      doorFindings([file('services/org/src/x.ts', `import { connect } from '@nats-io/transport-node';`)])
        .length,
      1,
    );
    const mcp = `import { McpServer } from '@modelcontextprotocol/server';`;
    assert.equal(doorFindings([file('libs/sdk/src/x.ts', mcp), file('cli/src/mcp/x.ts', mcp)]).length, 1);
    assert.equal(doorFindings([file('services/org/src/x.ts', `const home = process.env.HOME;`)]).length, 1);
  });
  it('find a dependency that is not declared, and one that is not used', () => {
    const manifest = { folder: 'libs/x', dependencies: { pino: '1' }, devDependencies: {} };
    assert.equal(
      manifestFindings([file('libs/x/src/a.ts', `import { z } from 'zod';`)], [manifest]).length,
      2,
    );
  });
  it('find a file without purpose', () => {
    assert.equal(
      shapeFindings([{ path: 'libs/kernel/src/utils.ts', text: 'export const x = 1;\n' }]).length,
      2,
    );
  });
});
