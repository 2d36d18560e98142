/** What doctor looks at on the machine: programs, servers outside, the data folder. */

import { execFile } from 'node:child_process';
import { access, constants, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { findNatsServer, findPostgres, natsGreeting } from '@fleetwire/embedded';
import { asFleetwireError } from '@fleetwire/kernel';
import { type CliConfig, searchPath } from '../config.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const run = promisify(execFile);
const WAIT_MS = 3000;
const FREE_MIB_MIN = 1024;
/** The oldest server with what is relied on. */
const NATS_MIN = [2, 9] as const;

/** `nodesOnly`: the servers of a fabric are of no use here. */
export async function machineFindings(config: CliConfig, nodesOnly: boolean): Promise<Finding[]> {
  const servers = nodesOnly ? [] : [await nats(config), await postgres(config)];
  return [nodeVersion(), ...servers, await tmux(), await dataFolder(config)];
}

const nats = (config: CliConfig) =>
  config.outsideNats === undefined ? ownNats(config) : outsideNats(config, config.outsideNats);

function nodeVersion(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 17)) return ok('Node.js', process.version);
  return fail('Node.js', process.version, 'Install Node.js 22.17 or newer.');
}

async function ownNats(config: CliConfig): Promise<Finding> {
  try {
    const binary = findNatsServer(config.nats.server, searchPath());
    const { stdout } = await run(binary, ['--version'], { timeout: WAIT_MS });
    const version = /v?(\d+)\.(\d+)/.exec(stdout) ?? [];
    const [major, minor] = [Number(version[1]), Number(version[2])];
    const found = `${stdout.trim()} (${binary})`;
    if (major > NATS_MIN[0] || (major === NATS_MIN[0] && minor >= NATS_MIN[1]))
      return ok('nats-server', found);
    return fail('nats-server', found, `Install nats-server ${NATS_MIN.join('.')} or newer.`);
  } catch (error) {
    const typed = asFleetwireError(error);
    return fail('nats-server', typed.message, typed.help ?? 'Install nats-server 2.9 or newer.');
  }
}

async function outsideNats(config: CliConfig, urls: string): Promise<Finding> {
  const single = config.nats.single_tenant;
  for (const url of urls.split(',').map((text) => text.trim())) {
    const greeting = await natsGreeting(url);
    if (greeting === undefined) continue;
    const found = `outside, version ${greeting.version}`;
    if (greeting.jetstream !== true)
      return fail(
        'nats-server',
        `${found}, without JetStream`,
        'Add a jetstream block to its configuration.',
      );
    if (greeting.auth_required === true || single) return ok('nats-server', found);
    return fail(
      'nats-server',
      `${found}, without accounts`,
      'Use the configuration that `fleetwire bootstrap` prints, or set FLEETWIRE_NATS_SINGLE_TENANT=true.',
    );
  }
  return fail('nats-server', 'none of FLEETWIRE_NATS_URL answers', 'Start it, or correct the URL.');
}

async function postgres(config: CliConfig): Promise<Finding> {
  if (config.outsideDatabase !== undefined) return ok('PostgreSQL', 'outside, by FLEETWIRE_DATABASE_URL');
  try {
    return ok('PostgreSQL', (await findPostgres()).postgres);
  } catch (error) {
    const typed = asFleetwireError(error);
    return fail('PostgreSQL', typed.message, typed.help ?? 'Install the dependencies again.');
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

/** Makes nothing: a folder that is not there yet is judged by the nearest one above it that is. */
async function dataFolder(config: CliConfig): Promise<Finding> {
  const { data } = config.folders;
  try {
    const disk = await statfs(await writableAbove(data));
    const freeMiB = Math.floor((disk.bavail * disk.bsize) / 1024 / 1024);
    if (freeMiB < FREE_MIB_MIN)
      return warn('data folder', `${data}, ${freeMiB} MiB free`, 'Make room: streams and history live here.');
    return ok('data folder', `${data}, ${freeMiB} MiB free`);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const help = 'Set FLEETWIRE_HOME to a folder that can.';
    return fail('data folder', `${data} cannot be written (${code})`, help);
  }
}

async function writableAbove(folder: string): Promise<string> {
  try {
    await access(folder, constants.W_OK | constants.X_OK);
    return folder;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || folder === dirname(folder)) throw error;
    return writableAbove(dirname(folder));
  }
}
