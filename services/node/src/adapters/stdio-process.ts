/** A child in a process group of its own: told apart from a later process of the same number, ended as a whole. */

import { execFile } from 'node:child_process';
import { pause } from '@fleetwire/kernel';

/** How long a program may take to end after its input was closed and SIGTERM came. */
export const STOP_GRACE_MS = 3000;

/** When a process started, as the system words it; undefined when there is none of this number. */
export function startedAt(pid: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }, (error, out) =>
      resolve(error || out.trim() === '' ? undefined : out.trim()),
    );
  });
}

/** Ends the group that `pid` leads: SIGTERM, then after the grace SIGKILL to what is left of it. */
export async function endGroup(pid: number): Promise<void> {
  signalGroup(pid, 'SIGTERM');
  const deadline = performance.now() + STOP_GRACE_MS;
  while (performance.now() < deadline && signalGroup(pid, 0)) await pause(20);
  signalGroup(pid, 'SIGKILL');
}

/** False when no process of the group is left. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}
