/** Ctrl-C and its kin: the first ends things in good order, the second ends the process at once. */

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

export interface Leaving {
  /** Aborts at the first signal. */
  readonly signal: AbortSignal;
  /** Resolves at the first signal; keeps the process alive until then. */
  asked(): Promise<void>;
  /** Gives the signals back. */
  release(): void;
}

/** From here on a signal does not kill this process. */
export function catchSignals(onFirst: () => void = () => undefined): Leaving {
  const leaving = new AbortController();
  const handlers = Object.entries(SIGNALS).map(([name, code]) => {
    const handler = () => {
      if (leaving.signal.aborted) process.exit(code);
      onFirst();
      leaving.abort();
    };
    process.on(name, handler);
    return [name, handler] as const;
  });
  return {
    signal: leaving.signal,
    asked: () =>
      new Promise<void>((resolve) => {
        if (leaving.signal.aborted) return resolve();
        const alive = setInterval(() => undefined, 60_000);
        leaving.signal.addEventListener('abort', () => {
          clearInterval(alive);
          resolve();
        });
      }),
    release: () => {
      for (const [name, handler] of handlers) process.off(name, handler);
    },
  };
}
