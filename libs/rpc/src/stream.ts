/** Ends an iteration that waits, when its call is over: otherwise its producer would wait for ever. */

/** Gives the items of `source` until it ends or `signal` aborts; then `source` is asked to return. */
export function untilAborted<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const items = source[Symbol.asyncIterator]();
      const done = { done: true, value: undefined } as const;
      let wake: ((result: IteratorResult<T>) => void) | undefined;
      const onAbort = () => {
        wake?.(done);
        // A generator that waits returns only when its wait is over: nobody waits for it here.
        void items.return?.()?.then(undefined, () => undefined);
      };
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
      return {
        next: () =>
          new Promise<IteratorResult<T>>((resolve, reject) => {
            if (signal.aborted) return resolve(done);
            wake = resolve;
            items.next().then(resolve, reject);
          }),
        async return() {
          signal.removeEventListener('abort', onAbort);
          await items.return?.();
          return done;
        },
      };
    },
  };
}
