/** Runs the test groups one after the other and closes with one line that counts them all. */

import { spawn } from 'node:child_process';
import { glob } from 'node:fs/promises';
import { stripVTControlCharacters } from 'node:util';

interface Group {
  readonly name: string;
  readonly files: readonly string[];
  readonly options: readonly string[];
}

/** Quick first. Tests that start servers share two cores, so only the pure ones run side by side. */
const GROUPS: readonly Group[] = [
  { name: 'tidy', files: ['test/tidy/*.test.ts'], options: ['--timeout', '120000'] },
  {
    name: 'unit',
    files: ['{libs,services}/*/test/**/*.unit.test.ts', '{cli,bench}/test/**/*.unit.test.ts'],
    options: [],
  },
  {
    name: 'service',
    files: ['{libs,services}/*/test/**/*.service.test.ts', 'cli/test/**/*.service.test.ts'],
    options: ['--timeout', '60000', '--parallel', '--jobs', '2'],
  },
  {
    name: 'conformance',
    files: ['test/conformance/*.test.ts'],
    options: ['--timeout', '60000', '--parallel', '--jobs', '2'],
  },
  { name: 'fabric', files: ['test/fabric/*.test.ts'], options: ['--timeout', '180000'] },
  { name: 'compat', files: ['test/compat/*.test.ts'], options: ['--timeout', '180000'] },
  { name: 'chaos', files: ['test/chaos/*.test.ts'], options: ['--timeout', '300000'] },
];

/** Servers of others that one test is to use, under names of their own; see test/fabric/outside-servers.test.ts. */
const OUTSIDE = ['FLEETWIRE_NATS_URL', 'FLEETWIRE_DATABASE_URL', 'FLEETWIRE_KEYS_DIR'];

/** Without the settings of whoever runs the tests, each of which would change what they test; but for those of the tests. */
function testEnvironment(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!name.startsWith('FLEETWIRE_') || name === 'FLEETWIRE_NATS_SERVER') env[name] = value;
    else if (name.startsWith('FLEETWIRE_TEST_')) env[name] = value;
    else if (OUTSIDE.includes(name)) env[name.replace('FLEETWIRE_', 'OUTSIDE_')] = value;
  }
  return env;
}

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
  /** What mocha said of each failure, without its stack: repeated at the end, where a log that is cut still shows it. */
  readonly failures: string[];
}

/** Mocha's own closing list of failures, without colours and stacks. */
function failuresIn(output: string): string {
  const plain = stripVTControlCharacters(output);
  const start = plain.search(/^\s+\d+ failing$/m);
  if (start < 0) return '';
  const lines = plain.slice(start).split('\n').slice(1);
  return lines.filter((line) => line.trim() !== '' && !/^\s+at /.test(line)).join('\n');
}

async function runGroup(group: Group, total: Counts): Promise<void> {
  const files: string[] = [];
  for await (const file of glob([...group.files], { exclude: (name) => name.includes('node_modules') }))
    files.push(file);
  if (files.length === 0) return;
  files.sort();
  process.stdout.write(`\n== ${group.name}: ${files.length} files\n`);
  const child = spawn(process.execPath, ['node_modules/mocha/bin/mocha.js', ...group.options, ...files], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: testEnvironment(),
  });
  let tail = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (text: string) => {
    process.stdout.write(text);
    tail = (tail + text).slice(-200_000);
  });
  const code = await new Promise<number>((resolve) => child.once('close', (c) => resolve(c ?? 1)));
  const count = (word: string) => Number(new RegExp(`^\\s+(\\d+) ${word}`, 'm').exec(tail)?.[1] ?? 0);
  const failed = count('failing');
  total.passed += count('passing');
  total.skipped += count('pending');
  // A runner that dies without a verdict is a failure too.
  total.failed += code !== 0 && failed === 0 ? 1 : failed;
  if (failed > 0) total.failures.push(`${group.name}\n${failuresIn(tail).slice(0, 4000)}`);
  else if (code !== 0) total.failures.push(`${group.name}: the runner ended with ${code}`);
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !GROUPS.some((group) => group.name === name));
if (unknown.length > 0) {
  console.error(`no such group: ${unknown.join(', ')}; there are ${GROUPS.map((g) => g.name).join(', ')}`);
  process.exit(64);
}
const total: Counts = { passed: 0, failed: 0, skipped: 0, failures: [] };
for (const group of GROUPS)
  if (wanted.length === 0 || wanted.includes(group.name)) await runGroup(group, total);
for (const failure of total.failures) console.log(`\nFAILED in ${failure}`);
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
