/** Telling one process from another that later got the same pid: by when it started, on Linux and macOS. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What makes a process this one and no other; as JSON in lock and child files. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Boot and start time on Linux, start time and command line elsewhere. */
  readonly started: string;
}

/** Undefined when no such process runs (a zombie does not run). */
export function identityOf(pid: number): ProcessIdentity | undefined {
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  const started = process.platform === 'linux' ? startedOnLinux(pid) : startedByPs(pid);
  return started === undefined ? undefined : { pid, started };
}

/** Is exactly this process still running? */
export function isRunning(identity: ProcessIdentity): boolean {
  return identityOf(identity.pid)?.started === identity.started;
}

/** Fields of /proc/PID/stat by proc(5): the third is the state, the 22nd the start in ticks since boot. */
function startedOnLinux(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    return `${boot} ${fields[19]}`;
  } catch {
    return undefined;
  }
}

function startedByPs(pid: number): string | undefined {
  const args = ['-o', 'state=', '-o', 'lstart=', '-o', 'command=', '-p', String(pid)];
  const result = spawnSync('/bin/ps', args, { encoding: 'utf8', env: { LC_ALL: 'C', TZ: 'UTC' } });
  const line = result.stdout?.trim() ?? '';
  if (result.status !== 0 || line === '' || line.startsWith('Z')) return undefined;
  return line.replace(/^\S+\s+/, '');
}
