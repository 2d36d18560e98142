/**
 * The demo on a fabric of its own in a temporary folder, with nothing left behind. Servers of others remember its nodes:
 * then the folder stays, so that the same nodes come back the next time.
 */

import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFolder } from '@fleetwire/embedded';
import type { CommandContext } from '../command-context.ts';
import { ownEnvironment } from '../config.ts';
import { catchSignals } from '../fabric/signals.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

/** Exit code 0 when every step worked; the folder with its logs stays when one failed. */
export async function runDemoAlone(context: CommandContext): Promise<void> {
  const { output } = context;
  const { outsideNats, outsideDatabase, folders } = context.config;
  const lasting = outsideNats !== undefined || outsideDatabase !== undefined;
  const home = lasting ? join(folders.state, 'demo') : await mkdtemp(join(tmpdir(), 'fleetwire-demo-'));
  if (lasting) makeFolder(home);
  // Root's PostgreSQL runs as another user, who must be able to pass.
  await chmod(home, 0o711);
  const env = ownEnvironment(context.config, { FLEETWIRE_HOME: home });
  const json = output.json ? ['--json'] : [];
  // A signal ends the command below; what it started is ended here all the same.
  const leaving = catchSignals(() => output.progress('ending what the demo started'));
  let code = await fleetwire(env, ['up', '--detach', '--demo', '--no-hints', ...json], true);
  const ended = await fleetwire(env, ['down', '--programs'], false);
  const { aborted } = leaving.signal;
  const clean = ended === 0 && (code === 0 || aborted);
  if (clean && !lasting) await rm(home, { recursive: true, force: true });
  else if (!clean) output.progress(`what it left is in ${home}`);
  if (code === 0) code = ended;
  const outcome = aborted ? 'was interrupted' : 'failed';
  output.progress(code === 0 ? 'the demo worked; everything it started has ended' : `the demo ${outcome}`);
  process.exitCode = aborted ? INTERRUPTED : code;
}

const INTERRUPTED = 130;

/** In a process group of its own, so that Ctrl-C reaches this process alone, which passes it on. */
function fleetwire(env: Record<string, string>, args: readonly string[], show: boolean): Promise<number> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ['ignore', show ? 'inherit' : 'ignore', show ? 'inherit' : 'ignore'],
    env,
    detached: true,
  });
  const passOn = () => child.kill('SIGTERM');
  process.once('SIGINT', passOn).once('SIGTERM', passOn).once('SIGHUP', passOn);
  return new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)));
}
