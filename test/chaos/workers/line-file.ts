/** A file of lines that is written in bulk: what a worker knows is there for whoever reads a failure. */

import { closeSync, openSync, writeSync } from 'node:fs';

const FLUSH_BYTES = 64 * 1024;

export class LineFile {
  readonly #file: number;
  #text = '';

  constructor(path: string) {
    this.#file = openSync(path, 'w');
  }

  add(line: string): void {
    this.#text += `${line}\n`;
    if (this.#text.length >= FLUSH_BYTES) this.flush();
  }

  flush(): void {
    if (this.#text !== '') writeSync(this.#file, this.#text);
    this.#text = '';
  }

  close(): void {
    this.flush();
    closeSync(this.#file);
  }
}
