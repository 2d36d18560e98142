/** doctor: looks at this machine and its fabric, and says what to do about what is wrong. */

import { execFile } from 'node:child_process';
import { access, constants, mkdir, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { findNatsServer } from '@fleetwire/embedded';
import { asFleetwireError } from '@fleetwire/kernel';
import { checkHealth } from '@fleetwire/rpc';
import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { fabricProcess } from '../fabric/fabric-record.ts';
import { connectNode, listLocalNodes } from '../local-nodes.ts';
import type { Action } from '../program.ts';

const run = promisify(execFile);
const WAIT_MS = 3000;

interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** What to do; empty when all is well. */
  readonly help: string;
}

const ok = (check: string, detail: string): Finding => ({ check, state: 'ok', detail, help: '' });
const warn = (check: string, detail: string, help: string): Finding => ({
  check,
  state: 'warn',
  detail,
  help,
});
const fail = (check: string, detail: string, help: string): Finding => ({
  check,
  state: 'fail',
  detail,
  help,
});

export function addDoctorCommand(program: Command, action: Action): void {
  program.command('doctor').description('check this machine and its fabric').action(action(doctor));
}

async function doctor(context: CommandContext): Promise<void> {
  const findings = [
    nodeVersion(),
    await natsServer(context),
    await tmux(),
    await folder(context),
    ...(await fabric(context)),
    ...(await nodes(context)),
  ];
  const healthy = findings.every((finding) => finding.state !== 'fail');
  context.output.result({ healthy, findings }, () =>
    findings.flatMap((f) => [
      `${f.state.padEnd(4)}  ${f.check.padEnd(14)} ${f.detail}`,
      ...(f.help === '' ? [] : [`      ${' '.repeat(14)} ${f.help}`]),
    ]),
  );
  if (!healthy) process.exitCode = 69;
}

function nodeVersion(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 17)) return ok('Node.js', process.version);
  return fail('Node.js', process.version, 'Install Node.js 22.17 or newer.');
}

async function natsServer(context: CommandContext): Promise<Finding> {
  if (context.config.outsideNats !== undefined) return ok('nats-server', 'outside, by FLEETWIRE_NATS_URL');
  try {
    const binary = findNatsServer(context.config.nats.server);
    const { stdout } = await run(binary, ['--version'], { timeout: WAIT_MS });
    return ok('nats-server', `${stdout.trim()} (${binary})`);
  } catch (error) {
    const typed = asFleetwireError(error);
    return fail('nats-server', typed.message, typed.help ?? 'Install nats-server 2.9 or newer.');
  }
}

async function tmux(): Promise<Finding> {
  try {
    const { stdout } = await run('tmux', ['-V'], { timeout: WAIT_MS });
    return ok('tmux', stdout.trim());
  } catch {
    return warn(
      'tmux',
      'missing',
      'Agents in a terminal need it: apt-get install tmux, or brew install tmux.',
    );
  }
}

async function folder(context: CommandContext): Promise<Finding> {
  const { data } = context.config.folders;
  try {
    await mkdir(data, { recursive: true });
    await access(data, constants.W_OK);
    const { statfs } = await import('node:fs/promises');
    const disk = await statfs(data);
    const freeMiB = Math.floor((disk.bavail * disk.bsize) / 1024 / 1024);
    if (freeMiB < 1024)
      return warn('data folder', `${data}, ${freeMiB} MiB free`, 'Make room: streams and history live here.');
    return ok('data folder', `${data}, ${freeMiB} MiB free`);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    return fail(
      'data folder',
      `${data} cannot be written (${code})`,
      'Set FLEETWIRE_HOME to a folder that can.',
    );
  }
}

async function fabric(context: CommandContext): Promise<Finding[]> {
  const running = fabricProcess(context.config.folders.data);
  const known = await context.context().catch(() => undefined);
  if (known === undefined) return [warn('fabric', 'none is known here', 'Start one with: fleetwire up')];
  const findings: Finding[] = running
    ? [ok('fabric', `runs here (process ${running.pid})`)]
    : [warn('fabric', 'does not run on this machine', 'Start it with: fleetwire up')];
  if (context.config.nats.single_tenant)
    findings.push(
      warn(
        'tenants',
        'single tenant: the broker keeps no orgs apart',
        'Use a server in JWT mode: fleetwire bootstrap',
      ),
    );
  for (const [name, address] of Object.entries(known.endpoints)) {
    const healthy = await checkHealth({ address, deadlineMs: WAIT_MS }).catch(() => undefined);
    if (healthy === true) findings.push(ok(name, `serving on ${address}`));
    else if (healthy === false)
      findings.push(fail(name, `not ready on ${address}`, 'Its log says what it waits for.'));
    else findings.push(fail(name, `no answer on ${address}`, 'Start it with: fleetwire up'));
  }
  findings.push(await keyFile(known.api_key_file));
  return findings;
}

async function keyFile(path: string): Promise<Finding> {
  try {
    const { mode } = await stat(path);
    if ((mode & 0o077) !== 0)
      return warn('API key', `${path} can be read by others`, `Run: chmod 600 ${path}`);
    return ok('API key', path);
  } catch {
    return fail(
      'API key',
      `${path} is missing`,
      'Set FLEETWIRE_API_KEY, or run `fleetwire up` on this machine again.',
    );
  }
}

async function nodes(context: CommandContext): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const node of await listLocalNodes(context.config.folders.data)) {
    const client = connectNode(node);
    try {
      const status = await client.nodeStatus({}, { deadlineMs: WAIT_MS });
      if (status.hub === 'active')
        findings.push(ok(`node ${node.name}`, `${status.agents} agents, linked to the hub`));
      else
        findings.push(
          warn(
            `node ${node.name}`,
            `not linked to the hub: ${status.hubError || status.hub}`,
            'It keeps trying; mail waits on its disk.',
          ),
        );
    } catch {
      findings.push(
        warn(
          `node ${node.name}`,
          'does not run',
          `Start it with: fleetwire node start ${node.name} --detach`,
        ),
      );
    } finally {
      client.close();
    }
  }
  return findings;
}
