/** Cuts a stream of bytes into lines of bounded length. */

import { Buffer } from 'node:buffer';

export class LineCutter {
  readonly #maxBytes: number;
  readonly #parts: Buffer[] = [];
  #size = 0;
  #skipping = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Calls `onLine` for each whole line, without its break; a line that is too long comes once, as undefined. */
  push(chunk: Buffer, onLine: (line: string | undefined) => void): void {
    let from = 0;
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      this.#add(chunk.subarray(from, at));
      onLine(this.#take());
      from = at + 1;
    }
    this.#add(chunk.subarray(from));
  }

  /** What is left when the stream has ended. */
  end(onLine: (line: string | undefined) => void): void {
    if (this.#size > 0 || this.#skipping) onLine(this.#take());
  }

  #add(part: Buffer): void {
    this.#size += part.length;
    if (this.#size > this.#maxBytes) {
      this.#skipping = true;
      this.#parts.length = 0;
    } else if (part.length > 0) this.#parts.push(part);
  }

  #take(): string | undefined {
    const line = this.#skipping ? undefined : Buffer.concat(this.#parts).toString('utf8').replace(/\r$/, '');
    this.#parts.length = 0;
    this.#size = 0;
    this.#skipping = false;
    return line;
  }
}
