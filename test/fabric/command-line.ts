/** The command line as people use it, in a home folder of its own: commands, foreground processes, and a clean end. */

import { strict as assert } from 'node:assert';
import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { eventually, tempFolder } from '@fleetwire/testkit';
import { assertNothingRefused } from './nothing-refused.ts';

const CLI = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));

// biome-ignore lint/suspicious/noExplicitAny: documents differ by command, and the tests look into them
type Document = any;

export interface Refusal {
  readonly kind: string;
  readonly reason: string;
  readonly message: string;
  readonly help: string;
  /** Exit code of the command. */
  readonly code: number | null;
}

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  /** The one document of --json. */
  readonly json: Document;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** What it reads from standard input. */
  readonly input?: string | Buffer;
}

export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  out(): string;
  err(): string;
}

export interface Home extends AsyncDisposable {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
  /** Runs a command to its end. */
  run(args: readonly string[], o?: RunOptions): Promise<Ended>;
  /** As `run`, with --json; fails unless it ends with 0. */
  ok(...args: string[]): Promise<Document>;
  /** As `run`, with --json; gives the error of a command that must fail, with its exit code. */
  refused(args: readonly string[], o?: RunOptions): Promise<Refusal>;
  start(args: readonly string[], o?: RunOptions): Started;
  file(...path: string[]): Document;
  /** Pid of the nats-server or PostgreSQL of `up`. */
  childPid(name: 'nats' | 'postgres'): number;
  keep(): void;
}

export interface HomeOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Unix ids to run under. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** The test asks for what servers must refuse. */
  readonly refusals?: boolean;
}

export function openHome(o: HomeOptions = {}): Home {
  const folder = tempFolder('home');
  if (o.user !== undefined) chownSync(folder.path, o.user.uid, o.user.gid);
  const env = { FLEETWIRE_HOME: folder.path, HOME: folder.path, ...o.env };
  const start = (args: readonly string[], more: RunOptions = {}): Started => {
    const child = spawn(process.execPath, [CLI, ...args], {
      env: childEnvironment({ ...env, ...more.env }),
      stdio: ['pipe', 'pipe', 'pipe'],
      ...o.user,
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(more.input ?? '');
    return collect(child);
  };
  const run = (args: readonly string[], more?: RunOptions) => start(args, more).ended;
  const file = (...path: string[]) => JSON.parse(readFileSync(join(folder.path, ...path), 'utf8'));
  return {
    path: folder.path,
    env,
    run,
    start,
    file,
    ok: async (...args) => {
      const ended = await run(['--json', ...args]);
      assert.equal(ended.code, 0, `fleetwire ${args.join(' ')}: ${ended.err}`);
      return ended.json;
    },
    refused: async (args, more) => {
      const ended = await run(['--json', ...args], more);
      assert.notEqual(ended.code, 0, `fleetwire ${args.join(' ')} was not refused: ${ended.out}`);
      assert.ok(ended.json?.error?.reason, `no typed error: ${ended.out}${ended.err}`);
      assert.doesNotMatch(ended.err, /\n\s+at /, 'a stack trace is no message');
      return { ...ended.json.error, code: ended.code };
    },
    childPid: (name) => file('data', 'fabric', name, 'child.json').child.pid,
    keep: folder.keep,
    [Symbol.asyncDispose]: async () => {
      await run(['down']).catch(() => undefined);
      await endLeftovers(folder.path);
      try {
        if (!o.refusals) assertNothingRefused(join(folder.path, 'data', 'fabric', 'nats', 'server.log'));
      } finally {
        await folder[Symbol.asyncDispose]();
      }
    },
  };
}

function collect(child: ChildProcess): Started {
  const text = { out: '', err: '' };
  for (const name of ['out', 'err'] as const)
    child[`std${name}`]!.setEncoding('utf8').on('data', (chunk: string) => {
      text[name] += chunk;
    });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...text, json: documentOf(text.out) }));
  });
  ended.catch(() => undefined);
  return { child, ended, out: () => text.out, err: () => text.err };
}

/** Undefined unless all of it is one JSON document. */
function documentOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Processes that carry the folder in their command line or environment: servers, panes, daemons. */
export function processesIn(path: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return ['cmdline', 'environ'].some((file) => readFileSync(`/proc/${pid}/${file}`).includes(path));
      } catch {
        return false;
      }
    })
    .map(Number);
}

async function endLeftovers(path: string): Promise<void> {
  if (!existsSync('/proc')) return;
  for (const pid of processesIn(path)) process.kill(pid, 'SIGKILL');
  await eventually(() => processesIn(path).length === 0);
}
