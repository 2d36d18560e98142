/** Runs the commands of a section of the README in one shell, in order, as they stand there. */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import type { Home } from './command-line.ts';

const CLI = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));
const README = new URL('../../README.md', import.meta.url);

/** In place of npm's npx, which takes a second for each. History follows mail, so an early look at it is repeated. */
const SHELL = [
  'set -euxo pipefail',
  'fleetwire() { "$NODE" "$CLI" "$@"; }',
  'npx() {',
  '  [ "$1" = fleetwire ]; shift',
  '  if [ "$1" = trace ]; then until fleetwire "$@"; do :; done; else fleetwire "$@"; fi',
  '}',
];

/** Fenced commands of the section, in order. */
export function commands(section: string): string[] {
  const text = readFileSync(README, 'utf8').split(`\n## ${section}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block]) => block!.trim().split('\n'));
}

/** Ends at the first command that fails, with its code. */
export async function runInShell(
  home: Home,
  lines: readonly string[],
): Promise<{ readonly code: unknown; readonly out: string; readonly err: string }> {
  const env = childEnvironment({ ...home.env, NODE: process.execPath, CLI });
  const script = [...SHELL, ...lines].join('\n');
  const child = spawn('bash', ['-c', script], { cwd: home.path, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
    });
  const code = await new Promise((resolve) => child.once('close', resolve));
  return { code, out: said.stdout, err: said.stderr };
}
