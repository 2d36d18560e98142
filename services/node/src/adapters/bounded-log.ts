/** A file of lines that never exceeds its bound: the older half is kept beside it. */

import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

export class BoundedLog {
  readonly #path: string;
  readonly #maxBytes: number;
  #fd: number | undefined;
  #size = 0;

  /** At most `maxBytes` on disk, in `path` and `path`.1 together. */
  constructor(path: string, maxBytes: number) {
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  /** Never throws: a full disk must not end the program. */
  write(text: string): void {
    const line = Buffer.from(`${text}\n`).subarray(0, this.#maxBytes / 2);
    try {
      if (this.#fd === undefined) {
        this.#fd = openSync(this.#path, 'a', 0o600);
        this.#size = fstatSync(this.#fd).size;
      }
      if (this.#size + line.length > this.#maxBytes / 2) this.#turnOver();
      writeSync(this.#fd, line);
      this.#size += line.length;
    } catch {
      this.close();
    }
  }

  #turnOver(): void {
    closeSync(this.#fd!);
    this.#fd = undefined;
    renameSync(this.#path, `${this.#path}.1`);
    this.#fd = openSync(this.#path, 'a', 0o600);
    this.#size = 0;
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
