/** Tells a restart of a node from a copy of its folder: a digest of the machine and of the folder's place on it. */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { hostname } from 'node:os';

/** https://www.freedesktop.org/software/systemd/man/machine-id.html, and where it was before. */
const FILES = ['/etc/machine-id', '/var/lib/dbus/machine-id'];
/** What prints the machine's id on platforms without such a file. */
const COMMANDS: Readonly<Record<string, readonly [string, readonly string[]]>> = {
  darwin: ['/usr/sbin/ioreg', ['-rd1', '-c', 'IOPlatformExpertDevice']],
  win32: ['reg', ['query', 'HKLM\\SOFTWARE\\Microsoft\\Cryptography', '/v', 'MachineGuid']],
};
const UUID = /[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}/i;
const COMMAND_MS = 2000;

/** SHA-256, hexadecimal. The folder must exist. */
export function machineDigest(dir: string, machine = machineId()): string {
  const { dev, ino } = statSync(dir, { bigint: true });
  const parts = ['fleetwire machine 1', machine, realpathSync(dir), dev, ino];
  return createHash('sha256').update(parts.join('\n')).digest('hex');
}

/** The host's name where the platform has nothing better. */
function machineId(): string {
  for (const file of FILES) {
    const id = attempt(() => readFileSync(file, 'utf8').trim());
    if (id) return id;
  }
  const command = COMMANDS[process.platform];
  const printed = command && attempt(() => run(...command));
  return printed?.match(UUID)?.[0] ?? hostname();
}

function run(file: string, args: readonly string[]): string {
  return execFileSync(file, args, { timeout: COMMAND_MS, encoding: 'utf8', stdio: 'pipe' });
}

function attempt(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
