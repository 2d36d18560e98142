// Goal: what the documents say of the tree is true: links, paths, commands, targets and keys exist, indexes are complete.
// Method: hold every tracked or new markdown file against the files, the Makefile, the reference and the command line's
// own grammar; then feed each rule a document that lies and see it found.

import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'mocha';
import { buildProgram } from '../../cli/src/program.ts';
import {
  commandFindings,
  indexFindings,
  keyFindings,
  linkFindings,
  pathFindings,
  snippetFindings,
  targetFindings,
} from './documents.ts';
import type { SourceFile } from './source-tree.ts';

function documents(): SourceFile[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], {
    encoding: 'utf8',
  });
  return listed
    .split('\n')
    .filter((path) => path !== '' && existsSync(path))
    .map((path) => ({ path, text: readFileSync(path, 'utf8') }));
}

const none = (findings: string[]) => assert.deepEqual(findings, []);
const read = (path: string) => readFileSync(path, 'utf8');
const folders = (path: string) =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);

describe('documents', () => {
  const all = documents();
  const program = buildProgram();

  it('are there', () => {
    const missing = [
      'README.md',
      'ARCHITECTURE.md',
      'CONTRIBUTING.md',
      'docs/operations.md',
      'bench/README.md',
    ];
    none(missing.filter((path) => !all.some((document) => document.path === path)));
  });
  it('link to what exists', () => none(linkFindings(all, existsSync)));
  it('name paths that exist', () => none(pathFindings(all, existsSync)));
  it('name targets of the Makefile', () => none(targetFindings(all, read('Makefile'))));
  it('name commands and options of the command line', () => none(commandFindings(all, program)));
  it('name keys of the configuration', () => none(keyFindings(all, read('docs/reference/config.md'))));
  it('show examples as they are, all of them', () => {
    none(snippetFindings(all, (path) => (existsSync(path) ? read(path) : '')));
    const readme = read('libs/sdk/README.md');
    none(readdirSync('libs/sdk/examples').filter((file) => !readme.includes(`libs/sdk/examples/${file}`)));
  });
  it('list every decision', () => {
    const files = readdirSync('docs/adr').filter((file) => /^\d{4}-.*\.md$/.test(file));
    assert.ok(files.length > 0);
    none(indexFindings(read('docs/adr/README.md'), files));
  });
  it('introduce every service', () => {
    const services = folders('services').filter((name) => existsSync(`services/${name}/package.json`));
    assert.ok(services.length > 0);
    none(services.filter((name) => !existsSync(`services/${name}/README.md`)));
  });
});

describe('the rules for documents', () => {
  const document = (text: string, path = 'docs/x.md'): SourceFile[] => [{ path, text }];
  const program = buildProgram();

  it('find a link that leads nowhere, and a heading that is none', () => {
    const exists = (path: string) => path === 'README.md' || path === 'docs/x.md';
    assert.equal(linkFindings(document('[a](../README.md) [b](gone.md)'), exists).length, 1);
    assert.equal(linkFindings(document('# One two\n[a](#one-two) [b](#three)'), exists).length, 1);
    assert.equal(linkFindings(document('[a](https://example.org/gone)\n`[b](gone.md)`'), exists).length, 0);
  });
  it('find a path that is not there', () => {
    assert.equal(pathFindings(document('`libs/gone.ts` `libs/*/x.ts` libs/prose.ts'), () => false).length, 1);
    const life = document('`node/gone.ts`', 'docs/life-of-a-message.md');
    assert.deepEqual(pathFindings(life, (path) => path !== 'services/node/src/gone.ts').length, 1);
  });
  it('find an example that differs', () => {
    const shown = (code: string) => document(`\`\`\`ts\n// x.ts\n${code}\n\`\`\`\n`);
    const file = 'import y;\n\nconst x = 1;\nrun(x);\n';
    assert.equal(snippetFindings(shown('const x = 2;'), () => file).length, 1);
    assert.deepEqual(
      snippetFindings(shown('const x = 1;\nrun(x);'), () => file),
      [],
    );
  });
  it('find a target that is none', () => {
    const makefile = 'up: setup ## Start\n';
    assert.equal(targetFindings(document('`make up`, `make fast`, make sense'), makefile).length, 1);
    assert.equal(targetFindings(document('```sh\nmake fast # x\n```\n'), makefile).length, 1);
  });
  it('find a command or an option that is none', () => {
    const bad = ['`fleetwire run`', '`npx fleetwire agent fly`', '```sh\nX=1 npx fleetwire up --fast\n```\n'];
    for (const text of bad) assert.equal(commandFindings(document(text), program).length, 1, text);
    const good = [
      '`fleetwire up`',
      '`npx fleetwire agent run a -- b --fast`',
      '`[fleetwire x] a: b`',
      'fleetwire in prose',
      '`fleetwire org: DATABASE_AWAY`',
    ];
    for (const text of good) assert.deepEqual(commandFindings(document(text), program), [], text);
  });
  it('find a key that is none', () => {
    const reference = '| `FLEETWIRE_HOME` |';
    assert.equal(
      keyFindings(document('FLEETWIRE_HOME FLEETWIRE_NODE_* FLEETWIRE_HOUSE'), reference).length,
      1,
    );
  });
  it('find a decision that the index lacks', () => {
    assert.equal(indexFindings('[1](0001-a.md)', ['0001-a.md', '0002-b.md']).length, 1);
  });
});
