/** A temporary folder for one test, removed afterwards, or kept and named when told to. */

import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TempFolder extends AsyncDisposable {
  readonly path: string;
  /** Leaves the folder for the reader of a failure and prints where it is. */
  keep(): void;
}

export function tempFolder(purpose = 'test'): TempFolder {
  const path = mkdtempSync(join(tmpdir(), `fleetwire-${purpose}-`));
  chmodSync(path, 0o711); // the user that PostgreSQL runs as must be able to pass
  let kept = false;
  return {
    path,
    keep: () => {
      if (!kept) console.error(`kept for inspection: ${path}`);
      kept = true;
    },
    [Symbol.asyncDispose]: async () => {
      if (!kept) rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    },
  };
}
