/** Making folders below which a child may run under another user. */

import { chmodSync, mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Makes `dir` and what is missing above it: for us alone, or as root so that others may pass but not look, because
 * PostgreSQL then runs as another user. What is there already stays as it is.
 */
export function makeFolder(dir: string): void {
  const path = resolve(dir);
  const root = process.getuid?.() === 0;
  const first = mkdirSync(path, { recursive: true, mode: root ? 0o711 : 0o700 });
  if (first === undefined || !root) return;
  // The umask may have taken away what was asked for.
  for (let folder = path; ; folder = dirname(folder)) {
    chmodSync(folder, 0o711);
    if (folder === first || folder === dirname(folder)) return;
  }
}

/** As `makeFolder`, but closed to all others when it is new. */
export function makePrivateFolder(dir: string): void {
  makeFolder(dirname(resolve(dir)));
  mkdirSync(dir, { recursive: true, mode: 0o700 });
}
