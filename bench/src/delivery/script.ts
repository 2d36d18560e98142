/** Measurements that live beside the code that they measure: scripts that print one JSON document. */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { NODE_FLAGS } from '../fabric.ts';

/** Runs `path`, from the top folder; its progress goes to standard error. Rejects when it fails. */
export async function runScript<T>(path: string, args: readonly (string | number)[]): Promise<T> {
  const file = fileURLToPath(new URL(`../../../${path}`, import.meta.url));
  const child = spawn(process.execPath, [...NODE_FLAGS, file, ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const printed: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => printed.push(chunk));
  const code = await new Promise<number>((resolve) => child.once('close', (c) => resolve(c ?? 1)));
  if (code !== 0) throw new Error(`${path} ended with ${code}`);
  return JSON.parse(Buffer.concat(printed).toString()) as T;
}
