/** The demo on a fabric of its own in a temporary folder, with nothing left behind. */

import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CommandContext } from '../command-context.ts';
import { ownEnvironment } from '../config.ts';
import { DEMO_PAIRS } from './demo.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

/** Exit code 0 when every step worked; the folder with its logs stays when one failed. */
export async function runDemoAlone(context: CommandContext): Promise<void> {
  const { output } = context;
  const home = await mkdtemp(join(tmpdir(), 'fleetwire-demo-'));
  // Root's PostgreSQL runs as another user, who must be able to pass.
  await chmod(home, 0o711);
  const env = ownEnvironment(context.config, { FLEETWIRE_HOME: home });
  const json = output.json ? ['--json'] : [];
  let code = 1;
  try {
    code = await fleetwire(env, ['up', '--detach', '--demo', ...json], true);
  } finally {
    for (const { node, agent } of DEMO_PAIRS)
      await fleetwire(env, ['agent', 'stop', agent, '--node', node], false);
    const ended = await fleetwire(env, ['down'], false);
    if (code === 0 && ended === 0) await rm(home, { recursive: true, force: true });
    else output.progress(`what it left is in ${home}`);
    if (code === 0) code = ended;
  }
  output.progress(code === 0 ? 'the demo worked; everything it started has ended' : 'the demo failed');
  process.exitCode = code;
}

function fleetwire(env: Record<string, string>, args: readonly string[], show: boolean): Promise<number> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ['ignore', show ? 'inherit' : 'ignore', show ? 'inherit' : 'ignore'],
    env,
  });
  return new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)));
}
