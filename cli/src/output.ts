/** What a command says: one JSON document with stable fields, or lines for people; errors on stderr with what to do. */

import { ERROR_TABLE } from '@fleetwire/contract';
import { asFleetwireError, printable } from '@fleetwire/kernel';

export interface Output {
  readonly json: boolean;
  /** The result of the command: `document` with --json, else the lines that `people` gives. Once per command. */
  result(document: object, people: () => string | readonly string[]): void;
  /** Progress for people, on stderr, so that results can be piped; silent with --json. */
  progress(line: string): void;
}

export interface Streams {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

export const processStreams: Streams = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
};

export function createOutput(json: boolean, streams: Streams = processStreams): Output {
  return {
    json,
    result(document, people) {
      if (json) return streams.out(`${JSON.stringify(document, null, 2)}\n`);
      const lines = people();
      const text = typeof lines === 'string' ? lines : lines.join('\n');
      if (text !== '') streams.out(`${text}\n`);
    },
    progress(line) {
      if (!json) streams.err(`${line}\n`);
    },
  };
}

/** Prints an error (with --json also as the one document on stdout) and gives the exit code of its kind. */
export function reportError(thrown: unknown, json: boolean, streams: Streams = processStreams): number {
  const error = asFleetwireError(thrown);
  if (json) {
    const { kind, reason, message, help, details, retryAfterMs } = error;
    streams.out(
      `${JSON.stringify({ error: { kind, reason, message, help, details, retryAfterMs } }, null, 2)}\n`,
    );
  }
  streams.err(`fleetwire: ${error.message} (${error.reason})\n`);
  if (error.help !== undefined) streams.err(`  ${error.help}\n`);
  return ERROR_TABLE[error.kind].exit;
}

/** Columns as wide as their widest cell; the last one is left ragged. Cells are made harmless for a terminal. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const safe = rows.map((row) => row.map((cell) => printable(cell)));
  const widths = head.map((h, i) => Math.max(h.length, ...safe.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join('  ');
  return [line(head), ...safe.map(line)];
}

/** `3s ago`, `2m ago`; `never` for 0. */
export function ago(atMs: number, nowMs: number = Date.now()): string {
  if (atMs === 0) return 'never';
  const seconds = Math.max(0, Math.round((nowMs - atMs) / 1000));
  if (seconds < 120) return `${seconds}s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}m ago`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)}h ago`;
  return `${Math.round(seconds / 86_400)}d ago`;
}
