/** A small process beside the node that is talked to by its input and output, and keeps the node alive for nothing. */

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { tmuxEnvironment } from './tmux-server.ts';

export type Companion = ChildProcessByStdio<Writable, Readable, null>;

/** It ends with this process, since its input does. `ended`: also when it could not be started. */
export function startCompanion(file: string, args: readonly string[], ended: () => void): Companion {
  const child = spawn(file, args, { env: tmuxEnvironment(), stdio: ['pipe', 'pipe', 'ignore'] });
  child.stdin.on('error', () => undefined);
  child.on('error', ended);
  child.on('close', ended);
  child.unref();
  for (const stream of [child.stdin, child.stdout]) (stream as unknown as Socket).unref?.();
  return child;
}

export function endCompanion(child: Companion | undefined): void {
  child?.stdin.end();
  child?.stdout.destroy();
  child?.kill();
}
