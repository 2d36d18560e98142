/** A temporary folder for one test, removed afterwards, or kept and named when told to. */

import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TempFolder extends AsyncDisposable {
  readonly path: string;
  /** Leaves the folder for the reader of a failure and prints where it is. */
  keep(): void;
}

const open = new Set<string>();

process.on('exit', () => {
  for (const path of open) removeNow(path);
});

/** Removes a folder to which something may still be writing; blocks for up to two seconds. */
export function removeNow(path: string): void {
  const deadline = performance.now() + 2_000;
  do {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // something new appeared in it meanwhile
    }
    if (!existsSync(path)) return;
    blockMs(20);
  } while (performance.now() < deadline);
}

/** For exit handlers, which cannot await. */
export function blockMs(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Also removed when the process exits without disposing of it. */
export function tempFolder(purpose = 'test'): TempFolder {
  const path = mkdtempSync(join(tmpdir(), `fleetwire-${purpose}-`));
  chmodSync(path, 0o711); // the user that PostgreSQL runs as must be able to pass
  open.add(path);
  let kept = false;
  return {
    path,
    keep: () => {
      if (!kept) console.error(`kept for inspection: ${path}`);
      kept = true;
      open.delete(path);
    },
    [Symbol.asyncDispose]: async () => {
      if (!kept) removeNow(path);
      open.delete(path);
    },
  };
}
