/** The log file of a child: the child writes it by itself, so that it survives us; we keep it bounded. */

import { closeSync, fstatSync, openSync, readSync, truncateSync, writeFileSync } from 'node:fs';

/** Bytes of a child's log before its last part moves to `<file>.1` and it starts over. */
export const LOG_MAX_BYTES = 8 * 1024 * 1024;
const KEEP_BYTES = 1024 * 1024;
const TAIL_BYTES = 4096;

/** Opened for appending, so that it can be cut while the child has it open. */
export function openLog(file: string): { fd: number; size: number } {
  boundLog(file);
  const fd = openSync(file, 'a', 0o600);
  return { fd, size: fstatSync(fd).size };
}

/** Cuts the log when it has grown past its limit; what comes in at that very moment may be lost. */
export function boundLog(file: string, maxBytes = LOG_MAX_BYTES): void {
  const size = sizeOf(file);
  if (size <= maxBytes) return;
  writeFileSync(`${file}.1`, readFrom(file, size - KEEP_BYTES, KEEP_BYTES), { mode: 0o600 });
  truncateSync(file);
}

/** The last lines written after `offset`, at most 4 KiB. */
export function logTail(file: string, offset = 0): string {
  const size = sizeOf(file);
  const from = Math.max(offset > size ? 0 : offset, size - TAIL_BYTES);
  return readFrom(file, from, TAIL_BYTES).toString('utf8').trim();
}

function sizeOf(file: string): number {
  try {
    const fd = openSync(file, 'r');
    try {
      return fstatSync(fd).size;
    } finally {
      closeSync(fd);
    }
  } catch {
    return 0;
  }
}

function readFrom(file: string, position: number, length: number): Buffer {
  try {
    const fd = openSync(file, 'r');
    try {
      const buffer = Buffer.alloc(length);
      return buffer.subarray(0, readSync(fd, buffer, 0, length, Math.max(0, position)));
    } finally {
      closeSync(fd);
    }
  } catch {
    return Buffer.alloc(0);
  }
}
