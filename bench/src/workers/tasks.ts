/** The side of a process that is told what to do, over the channel that Node.js gives a forked child. */

export interface TaskRequest {
  readonly id: number;
  readonly task: string;
  readonly input: object;
}

export type TaskAnswer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string };

/** Tasks run as they come, also at the same time; each takes plain data and gives plain data. */
export function serveTasks(tasks: Readonly<Record<string, (input: never) => unknown>>): void {
  process.on('message', ({ id, task, input }: TaskRequest) => {
    void (async () => {
      try {
        const run = tasks[task];
        if (run === undefined) throw new Error(`there is no task ${task}`);
        tell({ id, result: (await run(input as never)) ?? null });
      } catch (error) {
        tell({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
      }
    })();
  });
  // Whoever started us is gone: so are we.
  process.on('disconnect', () => process.exit(0));
}

function tell(answer: TaskAnswer): void {
  process.send!(answer);
}

/** Runs `work` on each of `items`, at most `width` at a time. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T, i: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    for (let i = next++; i < items.length; i = next++) await work(items[i]!, i);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
}
