/** A process of the benchmark that does one thing after the other when it is told to. */

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { TaskAnswer, TaskRequest } from './workers/tasks.ts';

export interface TaskProcess {
  readonly pid: number;
  /** Rejects with what the task threw, or when the process dies first. */
  run<T>(task: string, input?: object): Promise<T>;
  stop(): Promise<void>;
}

/** Starts `<file>.ts`, a path from this folder; what is wrong with it shows at the first task. */
export function startTasks(file: string, execArgv: readonly string[] = []): TaskProcess {
  const path = fileURLToPath(new URL(`./${file}.ts`, import.meta.url));
  const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const;
  const child = fork(path, [], { stdio: [...stdio], execArgv: [...execArgv] });
  const waiting = new Map<number, (answer: TaskAnswer) => void>();
  let next = 0;
  child.on('message', (answer: TaskAnswer) => {
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  child.once('exit', (code) => {
    for (const [id, tell] of waiting) tell({ id, error: `${file} ended with ${code}` });
    waiting.clear();
  });
  return {
    pid: child.pid!,
    run: <T>(task: string, input: object = {}) =>
      new Promise<T>((resolve, reject) => {
        const id = next++;
        const request: TaskRequest = { id, task, input };
        waiting.set(id, (answer) => {
          if ('error' in answer) reject(new Error(`${file}, ${task}: ${answer.error}`));
          else resolve(answer.result as T);
        });
        child.send(request, (error) => {
          if (error === null || !waiting.delete(id)) return;
          reject(new Error(`${file}, ${task}: ${error.message}`));
        });
      }),
    stop: () => end(child),
  };
}

/** SIGKILL; resolves when the process is gone. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}
