/** One process of the benchmark as seen from its driver. */

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { COLLECTOR_FLAGS } from '@fleetwire/runtime';
import { end } from './task-process.ts';
import type { Credit, FromWorker, PhaseResult, ToWorker } from './workers/protocol.ts';

const READY_MS = 60_000;

export interface Worker {
  readonly pid: number;
  tell(message: ToWorker): void;
  /** Sends that were refused so far, and sent again. */
  refused(): number;
  onCredit(listener: (credit: Credit) => void): void;
  /** The next result; rejects when the worker fails or dies first. */
  result(): Promise<PhaseResult>;
  stop(): Promise<void>;
}

/** Starts `workers/<name>.ts`, with `flags` for Node.js, and resolves when it says that it is ready. */
export async function startWorker(
  name: string,
  settings: object,
  flags: readonly string[] = [],
): Promise<Worker> {
  const file = fileURLToPath(new URL(`./workers/${name}.ts`, import.meta.url));
  const child = fork(file, [JSON.stringify(settings)], {
    // As services set it for themselves, so that the raw limit has it too.
    execArgv: [...COLLECTOR_FLAGS, ...flags],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  let credit: (credit: Credit) => void = () => undefined;
  let refused = 0;
  const waiting = new Set<(message: FromWorker | undefined) => void>();
  child.on('message', (message: FromWorker) => {
    if (message.type === 'credit') return credit(message.credit);
    if (message.type === 'refused') {
      refused++;
      return;
    }
    if (message.type === 'failed') console.error(`${name}: ${message.error}`);
    for (const listener of waiting) listener(message);
  });
  child.once('exit', () => {
    for (const listener of waiting) listener(undefined);
  });
  const next = <T extends FromWorker['type']>(type: T) =>
    new Promise<Extract<FromWorker, { type: T }>>((resolve, reject) => {
      const listener = (message: FromWorker | undefined) => {
        if (message !== undefined && message.type !== type && message.type !== 'failed') return;
        waiting.delete(listener);
        if (message === undefined) reject(new Error(`${name} ended before it was asked to`));
        else if (message.type === 'failed') reject(new Error(`${name}: ${message.error}`));
        else resolve(message as Extract<FromWorker, { type: T }>);
      };
      waiting.add(listener);
    });
  const ready = next('ready');
  const timer = setTimeout(() => child.kill('SIGKILL'), READY_MS);
  await ready;
  clearTimeout(timer);
  return {
    pid: child.pid!,
    // One that is being ended may be gone already.
    tell: (message) => child.connected && child.send(message, () => undefined),
    refused: () => refused,
    onCredit: (listener) => {
      credit = listener;
    },
    result: async () => (await next('result')).result,
    stop: () => end(child),
  };
}
