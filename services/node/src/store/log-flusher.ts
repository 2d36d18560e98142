/**
 * Brings SQLite's write-ahead log to the disk now and then, beside the work: a checkpoint waits until all of the log is
 * there, in the one thread that has everything to do, and after 32 MiB that took as long as 80 ms.
 */

import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { DATABASE_FILE } from './database.ts';

/** A checkpoint that comes right after it finds no more than what was written in so long. */
const EVERY_MS = 250;

export class LogFlusher {
  readonly #file: string;
  readonly #commits: () => number;
  #timer: NodeJS.Timeout | undefined;
  #handle: FileHandle | undefined;
  #flushing: Promise<void> | undefined;
  #flushed = 0;

  /** `commits`: how many there were so far. */
  constructor(dir: string, commits: () => number) {
    this.#file = join(dir, `${DATABASE_FILE}-wal`);
    this.#commits = commits;
  }

  start(): void {
    this.#timer = setInterval(() => {
      const commits = this.#commits();
      if (this.#flushing !== undefined || commits === this.#flushed) return;
      this.#flushed = commits;
      this.#flushing = this.flush().finally(() => {
        this.#flushing = undefined;
      });
    }, EVERY_MS).unref();
  }

  /** Never rejects: SQLite does the same for itself when it has to, and says what is wrong with the disk. */
  async flush(): Promise<void> {
    try {
      this.#handle ??= await open(this.#file, 'r+');
      await this.#handle.datasync();
    } catch {
      return;
    }
  }

  /** Before the database is closed, which removes the file. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#flushing;
    await this.#handle?.close();
    this.#handle = undefined;
  }
}
