/** The log lines of services of this process in one file, kept bounded. */

import { createWriteStream } from 'node:fs';
import { dirname } from 'node:path';
import { boundLog, makeFolder } from '@fleetwire/embedded';

const CHECK_MS = 30_000;

export interface LogFile {
  write(line: string): void;
  close(): Promise<void>;
}

/** Appends; past the limit of `boundLog` the last part moves to `<file>.1` and it starts over. */
export function openLogFile(file: string): LogFile {
  makeFolder(dirname(file));
  boundLog(file);
  const stream = createWriteStream(file, { flags: 'a', mode: 0o600 });
  // A full disk must not end what is being logged.
  stream.on('error', () => undefined);
  const timer = setInterval(() => boundLog(file), CHECK_MS);
  timer.unref();
  return {
    write: (line) => void stream.write(line),
    close: () => {
      clearInterval(timer);
      return new Promise((resolve) => stream.end(() => resolve()));
    },
  };
}
