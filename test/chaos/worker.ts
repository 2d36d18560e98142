/** One of the two processes in which the agents of a run live. */

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import type { FromWorker, ToWorker, WorkerTask } from './workers/messages.ts';

export interface Worker {
  /** Messages accepted, or received. */
  readonly count: number;
  /** Sends that were refused, by reason. */
  readonly refused: Readonly<Record<string, number>>;
  /** Rejects when the process ends before it was told to. */
  readonly failed: Promise<never>;
  allow(count: number): void;
  /** Resolves when all is in its file and the process is gone. */
  finish(): Promise<void>;
  /** At once, whatever it is doing. */
  kill(): Promise<void>;
}

/** Resolves when all its agents are connected. */
export async function startWorker(file: 'senders' | 'receivers', task: WorkerTask): Promise<Worker> {
  const path = fileURLToPath(new URL(`./workers/${file}.ts`, import.meta.url));
  const child = fork(path, [], { env: childEnvironment() });
  const post = (message: ToWorker) => child.connected && child.send(message);
  const ready = Promise.withResolvers<void>();
  const { promise: failed, reject: fail } = Promise.withResolvers<never>();
  failed.catch(() => undefined);
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let finishing = false;
  const worker = { count: 0, refused: {} as Readonly<Record<string, number>> };
  child.on('message', (message: FromWorker) => {
    if (message.kind === 'ready') ready.resolve();
    else if (message.kind === 'count') Object.assign(worker, message);
  });
  child.once('exit', (code, signal) => {
    if (!finishing) fail(new Error(`the process of the ${file} ended with ${code ?? signal}`));
  });
  post({ kind: 'task', task });
  await Promise.race([ready.promise, failed]);
  return Object.assign(worker, {
    failed,
    allow: (count: number) => void post({ kind: 'upTo', count }),
    finish: async () => {
      finishing = true;
      post({ kind: 'finish' });
      await gone;
    },
    kill: async () => {
      finishing = true;
      child.kill('SIGKILL');
      await gone;
    },
  });
}
