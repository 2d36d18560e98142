/** Keeping a child alive: restarted after a death, on the same port and folder, for as long as it is wanted. */

import type { BackoffPolicy } from '@fleetwire/kernel';
import { backoffMs, pause } from '@fleetwire/kernel';
import type { ChildExit, ChildServer } from './child.ts';

/** A child that lived this long starts the waiting anew. */
const HEALTHY_MS = 30_000;

export interface SuperviseOptions {
  /** Waiting between tries; default 100 ms doubling to 10 s. */
  readonly backoff?: BackoffPolicy;
  readonly onExit?: (exit: ChildExit) => void;
  readonly onRestart?: (child: ChildServer) => void;
  /** A try to start it again failed; the next one follows in `retryMs`. */
  readonly onStartFailed?: (error: unknown, retryMs: number) => void;
}

export interface Supervised<C extends ChildServer = ChildServer> {
  /** The first start; rejects with its error, and then nothing is supervised. */
  readonly ready: Promise<C>;
  /** The child that runs now; undefined while it is down. */
  current(): C | undefined;
  /** Ends the child and the supervision; resolves when the child is gone. */
  stop(): Promise<void>;
}

/** `start` is called for the first start and for each restart; it must use the same port and folder each time. */
export function superviseChild<C extends ChildServer>(
  start: () => Promise<C>,
  o: SuperviseOptions = {},
): Supervised<C> {
  const ended = new AbortController();
  const aborted = new Promise<undefined>((resolve) => {
    ended.signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  const policy = o.backoff ?? { initialMs: 100, maxMs: 10_000 };
  let current: C | undefined;
  let attempt = 0;

  async function keepAlive(first: C): Promise<void> {
    current = first;
    while (current !== undefined && !ended.signal.aborted) {
      const since = performance.now();
      const exit = await Promise.race([current.exited, aborted]);
      if (exit === undefined || ended.signal.aborted) break;
      current = undefined;
      o.onExit?.(exit);
      const delayMs = performance.now() - since >= HEALTHY_MS ? 0 : nextDelayMs();
      if (delayMs === 0) attempt = 0;
      current = await restart(delayMs);
    }
    await current?.stop();
    current = undefined;
  }

  async function restart(delayMs: number): Promise<C | undefined> {
    await pause(delayMs, ended.signal);
    while (!ended.signal.aborted) {
      try {
        const child = await start();
        o.onRestart?.(child);
        return child;
      } catch (error) {
        const retryMs = nextDelayMs();
        o.onStartFailed?.(error, retryMs);
        await pause(retryMs, ended.signal);
      }
    }
    return undefined;
  }

  const nextDelayMs = () => backoffMs(policy, attempt++);
  const ready = start();
  const loop = ready.then(keepAlive, () => undefined);

  return {
    ready,
    current: () => current,
    stop: async () => {
      ended.abort();
      await loop;
    },
  };
}
